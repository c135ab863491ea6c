// Measures inside the page; put in before any script of the page runs. `fb` is all that it adds.
(() => {
  const fb = window.fb = {seen: [], gaps: []}

  function* roots(root) {
    yield root
    for (const element of root.querySelectorAll("*")) {
      if (element.shadowRoot) { yield* roots(element.shadowRoot) }
    }
  }

  fb.all = (selector) => [...roots(document)].flatMap((root) => [...root.querySelectorAll(selector)])
  fb.one = (selector, words) => fb.all(selector).find((e) => words === undefined || e.textContent.trim() === words)
  fb.visible = (element) => Boolean(element && element.getClientRects().length)

  // After the frame that shows what was changed just now.
  fb.painted = () => new Promise((done) => requestAnimationFrame(() => {
    const channel = new MessageChannel()
    channel.port1.onmessage = () => done(Date.now())
    channel.port2.postMessage(0)
  }))

  const number = (text) => Number(text.replaceAll(",", "").replace("\u2212", "-"))

  // What the rows say of the newest fills: by price, or by the fees of a book (one each).
  fb.reading = {
    price: (cells) => [Math.max(...cells.map((c) => Math.round((number(c.textContent) - 100) * 10000)).filter(Number.isFinite))],
    fees: (rows) => rows.map((row) => {
      const text = (field) => row.querySelector(`[tabulator-field=${field}]`)?.textContent.trim() ?? ""
      const book = 5 * Number(text("instrument").slice(1)) + Number(text("strategy").slice(1))
      return 100 * (number(text("commission")) - 1) + book
    }),
  }

  fb.table = (label) => fb.all(".tabulator").find((e) => e.getAttribute("aria-label") === label && e.querySelector(".tabulator-row"))

  fb.watch = (label, field, how) => {
    const host = fb.table(label)
    const body = host.querySelector(".tabulator-table")
    let waiting = false
    const look = async () => {
      waiting = true
      const at = await fb.painted()
      waiting = false
      const cells = [...body.querySelectorAll(how === "fees" ? ".tabulator-row" : `[tabulator-field=${field}]`)]
      const numbers = fb.reading[how](cells)
      fb.seen.push([at, numbers])
    }
    new MutationObserver(() => { if (!waiting) { look() } }).observe(body, {subtree: true, childList: true, characterData: true})
    return body.querySelectorAll(".tabulator-row").length
  }

  // When a page opens: milliseconds from the start of the navigation to the first paint of anything, to the screen's own
  // heading with something below it, and to its living rows (or the words that there are none).
  fb.opening = (title) => {
    const times = {}
    const look = async () => {
      const first = fb.one("#fillbook-first h1, h1", title)
      if (!times.heading && fb.visible(first)) { await fb.painted(); times.heading ??= performance.now() }
      const living = Number(document.documentElement.dataset.fillbookSeq ?? 0) > 0 && !fb.one("#fillbook-first")
        && !fb.all("p").some((p) => fb.visible(p) && p.textContent.startsWith("Loading the books"))
        && fb.visible(fb.all("h1").find((h) => h.textContent.trim() === title))
        && fb.all(".tabulator, .tile, dl, .notice").some(fb.visible)
        && fb.all(".tabulator").filter(fb.visible).every((t) => t.querySelector(".tabulator-row, .tabulator-placeholder"))
      if (living) { await fb.painted(); times.living = performance.now() } else { setTimeout(look, 15) }
      if (living) {
        times.html = performance.getEntriesByType("navigation")[0].responseStart
        times.paint = performance.getEntriesByName("first-contentful-paint")[0]?.startTime
        fb.opened = times
      }
    }
    setTimeout(look, 15)
  }

  // From the pointer's going down to the frame that shows the screen with this title.
  fb.react = (title) => {
    fb.reacted = undefined
    document.addEventListener("pointerdown", (event) => {
      const look = async () => {
        if (fb.visible(fb.all("h1").find((h) => h.textContent.trim() === title))) {
          await fb.painted()
          fb.reacted = performance.now() - event.timeStamp
        } else { setTimeout(look, 5) }
      }
      look()
    }, {capture: true, once: true})
  }

  // Milliseconds between two frames.
  fb.frames = () => {
    let last = performance.now()
    const frame = (now) => { fb.gaps.push(now - last); last = now; requestAnimationFrame(frame) }
    requestAnimationFrame(frame)
  }
})()
