// What the libraries leave out for screen readers, put in afterwards: names for grids and progress bars, and roles that
// let a grid's scrolling box be focusable. Only attributes are touched, and only where they are missing. Also the keyboard's
// way through the rows of a table.
const LABEL = "label-"

function* everything(root) {
  for (const element of root.querySelectorAll("*")) {
    yield element
    if (element.shadowRoot) { yield* everything(element.shadowRoot) }
  }
}

let missing = 0
let mending = ""

function put(element, name, value) {
  if (element && element.getAttribute(name) !== value) { missing++; element.setAttribute(name, value) }
}

function grid(element) {
  const host = element.getRootNode().host
  const label = [...(host?.classList ?? [])].find((name) => name.startsWith(LABEL))
  if (label) { put(element, "aria-label", decodeURIComponent(label.slice(LABEL.length))) }
  put(element.querySelector(".tabulator-tableholder"), "role", "rowgroup")
  put(element.querySelector(".tabulator-table"), "role", "presentation")
  put(element.querySelector(".tabulator-placeholder"), "role", "row")
  put(element.querySelector(".tabulator-placeholder-contents"), "role", "gridcell")
  put(element.querySelector(".tabulator-footer"), "role", "row")
  put(element.querySelector(".tabulator-footer-contents"), "role", "gridcell")
  for (const empty of element.querySelectorAll(".tabulator-col.empty")) { put(empty, "aria-hidden", "true") }
  for (const column of element.querySelectorAll(".tabulator-col")) {
    const title = column.querySelector(".tabulator-col-title")?.textContent
    put(column.querySelector(".tabulator-header-filter input"), "aria-label", `Filter by ${title}`)
  }
  for (const box of element.querySelectorAll("input[type=checkbox]:not([aria-label])")) {
    put(box, "aria-label", box.closest(".tabulator-header") ? "Select all rows" : "Select this row")
  }
}

// Says by a mark at the right edge that a table has more columns than there is room for.
function goesOn(element) {
  const box = element.querySelector(".tabulator-tableholder")
  if (!box) { return }
  const last = [...element.querySelectorAll(".tabulator-col:not(.empty)")].pop()
  const end = last ? last.getBoundingClientRect().right : 0
  element.classList.toggle("goes-on", end > box.getBoundingClientRect().right + 2)
  if (!box.dataset.watched) {
    box.dataset.watched = "yes"
    box.addEventListener("scroll", () => goesOn(element), {passive: true})
  }
}

// Rows are chosen with the mouse in the library; here the arrow keys walk over them, and Enter or the space bar chooses.
// A refresh makes new rows: the one that had the focus is remembered by its place and gets it back.
function walkable(element) {
  const table = element.querySelector(".tabulator-tableholder")
  if (!table || element.dataset.walkable || !element.querySelector(".tabulator-row.tabulator-selectable")) { return }
  element.dataset.walkable = "yes"
  missing++
  const rows = () => [...table.querySelectorAll(".tabulator-row")]
  const here = () => rows().indexOf(element.getRootNode().activeElement?.closest?.(".tabulator-row"))
  const stand = (place) => {
    const row = rows()[place]
    if (!row) { return }
    row.tabIndex = -1
    row.focus()
    element.dataset.place = String(place)
  }
  table.addEventListener("keydown", (event) => {
    const place = here()
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key]
    if (event.target.tagName === "INPUT") { return }
    if (step) {
      stand(Math.max(0, Math.min(rows().length - 1, place < 0 ? 0 : place + step)))
    } else if ((event.key === "Enter" || event.key === " ") && place >= 0) {
      rows()[place].querySelector(".tabulator-cell:not(.tabulator-row-header)")?.click()
    } else {
      return
    }
    event.preventDefault()
  })
  table.addEventListener("focusout", (event) => { if (event.relatedTarget) { delete element.dataset.place } })
  new MutationObserver(() => {
    if (element.dataset.place && !element.getRootNode().activeElement) { stand(Number(element.dataset.place)) }
  }).observe(table.querySelector(".tabulator-table"), {childList: true})
}

// A text that does not fit its cell is told whole when somebody points at it; as an attribute, which is never HTML.
function tellCut(event) {
  const cell = event.composedPath().find((one) => one.classList?.contains("tabulator-cell"))
  if (!cell) { return }
  if (cell.scrollWidth > cell.clientWidth) { put(cell, "title", cell.textContent) } else { cell.removeAttribute("title") }
}

function mend() {
  for (const element of everything(document)) {
    if (element.classList.contains("tabulator")) {
      grid(element)
      goesOn(element)
      walkable(element)
    } else if (element.getAttribute("role") === "progressbar" && !element.hasAttribute("aria-label")) {
      put(element, "aria-label", "In progress")
    } else if (element.tagName === "NAV") {
      put(element, "aria-label", element.querySelector(".sidebar") ? "Screens and filters" : "Pages")
    } else if (element.tagName === "H5" && element.textContent.trim() === "") {
      put(element, "role", "presentation")
    }
  }
}

// A screen that was just put on the page is still building its tables: mends until nothing was missing any more.
function mendScreen(screen, tries = 12) {
  if (screen !== mending) { return }
  missing = 0
  mend()
  if (missing > 0 && tries > 0) {
    setTimeout(() => mendScreen(screen, tries - 1), 120)
  } else {
    document.documentElement.dataset.fillbookMended = screen
  }
}
