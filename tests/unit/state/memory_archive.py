"""An archive in a dictionary, for tests of what is put away."""


class MemoryArchive:
    def __init__(self):
        self.blocks = {}  # number -> [kind, blob, epoch of its making, epoch of its dropping or None]
        self.keys = {}
        self.epoch = 1
        self.read = 0

    @property
    def empty(self):
        return not self.keys

    @property
    def count(self):
        return sum(block[3] is None for block in self.blocks.values())

    def put(self, kind, blob, keys):
        number = max(self.blocks, default=0) + 1
        self.blocks[number] = [kind, blob, self.epoch, None]
        for key in keys:
            assert 0 <= key < 2**63
            self.keys.setdefault(key, []).append(number)
        return number

    def get(self, number):
        self.read += 1
        block = self.blocks.get(number)
        return block[1] if block is not None and block[3] is None else None

    def may_have_any(self, keys):
        return not self.keys.keys().isdisjoint(keys)

    def find(self, key):
        return self.keys.get(key, ())

    def numbers(self, kind):
        return [number for number, block in sorted(self.blocks.items()) if block[0] == kind and block[3] is None]

    def drop(self, number):
        self.blocks[number][3] = self.epoch

    def go_back(self, epoch):
        self.blocks = {n: b for n, b in self.blocks.items() if b[2] <= epoch}
        for block in self.blocks.values():
            if block[3] is not None and block[3] > epoch:
                block[3] = None
        self.epoch = epoch + 1
        return self.count
