// The header strip: what must be known at a glance, painted from one small message per tick and acknowledged after
// painting. It also watches over the page itself: when no message comes any more it says STALE, in words, and reloads
// the page as soon as the server is back. Everything is set as text, nothing as HTML.
const STALE_AFTER_MS = 6000

const MEND_EVERY_MS = 2000

// Takes the first sight away as soon as the living screen stands in its place.
function uncover(tries) {
  const loading = [...everything(document)].some((e) => e.tagName === "P" && e.textContent.startsWith("Loading the books"))
  if (loading && tries > 0) { setTimeout(() => uncover(tries - 1), 50); return }
  requestAnimationFrame(() => document.getElementById("fillbook-first")?.remove())
}

function chip(strip, name, label) {
  const box = document.createElement("div")
  box.className = "chip"
  const head = document.createElement("span")
  head.className = "label"
  head.textContent = label
  const value = document.createElement("span")
  value.className = "value"
  value.textContent = "…"
  box.append(head, value)
  box.dataset.chip = name
  strip.append(box)
  return {box, value}
}

export function render({model, el}) {
  const strip = document.createElement("div")
  strip.className = "strip"
  strip.setAttribute("role", "group")
  strip.setAttribute("aria-label", "State of the engine")
  const badge = document.createElement("button")
  badge.type = "button"
  badge.className = "badge unknown"
  badge.textContent = "? Not checked yet"
  badge.dataset.chip = "square"
  badge.addEventListener("click", () => model.send_msg({go: "reconciliation all"}))
  // Figures anywhere on the page that name the screen behind them. They may be drawn anew between the pointer's going down
  // and up, where a browser makes no click of it; and while they have the focus, which then goes back to the new one.
  const named = (event) => event.composedPath().find((one) => one.dataset?.go)
  let pressed = null
  let held = null
  const listeners = {
    pointerdown: (event) => { pressed = named(event)?.dataset.go ?? null },
    pointerup: (event) => { if (pressed && named(event)?.dataset.go === pressed) { model.send_msg({go: pressed}) } },
    click: (event) => { if (event.detail === 0 && named(event)) { model.send_msg({go: named(event).dataset.go}) } },
    focusin: (event) => { held = named(event) ?? null },
    mouseover: tellCut,
  }
  for (const [name, listener] of Object.entries(listeners)) { document.addEventListener(name, listener) }
  const refocus = () => {
    if (!held || held.isConnected) { return }
    const go = held.dataset.go
    held = null
    for (const one of everything(document)) { if (one.dataset.go === go) { one.focus(); break } }
  }
  strip.append(badge)
  const chips = {
    broker: chip(strip, "broker", "IB"),
    age: chip(strip, "age", "data age"),
    queue: chip(strip, "queue", "queue"),
    store: chip(strip, "store", "fill → store"),
    pnl: chip(strip, "pnl", "P&L today"),
  }
  const stale = document.createElement("div")
  stale.className = "stale"
  stale.setAttribute("role", "alert")
  stale.hidden = true
  el.append(strip, stale)

  model.send_msg({zone: Intl.DateTimeFormat().resolvedOptions().timeZone ?? ""})
  let last = Date.now()
  let mended = 0
  let screen = ""
  let gone = false
  model.on("msg:custom", (event) => {
    const data = JSON.parse(event.data ?? event)
    last = Date.now()
    if (!stale.hidden) { stale.hidden = true; stale.textContent = "" }
    for (const [name, shown] of Object.entries(data.chips)) {
      const {box, value} = chips[name]
      if (value.textContent !== shown.text) { value.textContent = shown.text }
      box.dataset.state = shown.state
      box.title = shown.title ?? ""
    }
    if (badge.textContent !== data.square.text) { badge.textContent = data.square.text }
    badge.className = `badge ${data.square.state}`
    badge.title = data.square.title
    document.documentElement.dataset.fillbookSeq = String(data.seq)
    setTimeout(refocus, 30)
    if (data.screen && data.screen !== screen) {
      screen = mending = data.screen
      mended = Date.now()
      setTimeout(() => mendScreen(data.screen), 50)
    } else if (Date.now() - mended > MEND_EVERY_MS) {
      mended = Date.now()
      setTimeout(mend, 50)
    }
    if (data.seq === 1) { uncover(60) }
    requestAnimationFrame(() => {
      document.documentElement.dataset.fillbookPainted = String(data.seq)
      model.send_msg({ack: data.seq})
    })
  })

  const watch = setInterval(async () => {
    if (!strip.isConnected) {
      clearInterval(watch)
      for (const [name, listener] of Object.entries(listeners)) { document.removeEventListener(name, listener) }
      return
    }
    const silent = Date.now() - last
    if (silent < STALE_AFTER_MS) { gone = false; return }
    const seconds = Math.round(silent / 1000)
    stale.hidden = false
    stale.textContent = `STALE: no news from the server for ${seconds} s. Every number below is old. Waiting for the server …`
    try {
      const answer = await fetch("./favicon.ico", {cache: "no-store"})
      if (!answer.ok) { gone = true; return }
    } catch (error) {
      console.debug("the server does not answer", error)
      gone = true
      return
    }
    // A page that slept beyond its session is stale although the server lives; one reload a minute is enough for that.
    const reloaded = Number(sessionStorage.getItem("fillbook-reloaded") ?? 0)
    if (gone || (silent > 3 * STALE_AFTER_MS && Date.now() - reloaded > 60000)) {
      sessionStorage.setItem("fillbook-reloaded", String(Date.now()))
      location.reload()
    }
  }, 1000)
}
