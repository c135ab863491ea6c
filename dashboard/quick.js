// Tables brought up to date in place. Tabulator builds every row anew for each update and measures the table in between,
// which costs a page a tenth of a second; with several pages on one machine that is all there is. As long as a page of the
// table has as many rows as before, the cells that differ are written and everything else is left alone. Whatever is out
// of the ordinary (a sort or filter of the reader's own, groups, an edit) goes the library's own way.
function untouched(view) {
  const {tabulator, model} = view
  return model.pagination !== "remote" && model.groupby.length === 0 && model.expanded.length === 0
    && tabulator.getSorters().length === 0 && tabulator.getFilters(true).length === 0
    && view.container.querySelector(".tabulator-editing") === null
}

// Rows of the table's page on show, if the table had so many in all.
function shown({model, tabulator}, count) {
  if (model.pagination === null) { return count }
  const {page, size} = tabulator.modules.page
  return Math.min(size, count - (page - 1) * size)
}

function inPlace(view, data) {
  const manager = view.tabulator.rowManager
  const rows = manager.rows.slice(0, data.length)
  if (rows.length === 0 || !untouched(view)) { return false }
  const visible = shown(view, data.length)
  if (visible <= 0 || visible !== shown(view, manager.rows.length)) { return false }
  if (rows.some((row, i) => row.data._index !== data[i]._index)) { return false }
  rows.forEach((row, i) => {
    for (const cell of row.cells) {
      const value = data[i][cell.column.field]
      if (!Object.is(cell.value, value)) { cell.setValueActual(value) }
    }
    Object.assign(row.data, data[i])
  })
  if (data.length !== manager.rows.length) {
    manager.rows = rows.concat(data.slice(rows.length).map((values) => new rows[0].constructor(values, manager)))
    manager.refreshPipelines(false, "all", 0, true)  // counts the pages anew and draws nothing
  }
  return true
}

// Columns are measured when a table is drawn for the first time. A text that is longer than all of its column's before would
// be cut from then on: its column is measured again. That is rare, since the longest is remembered.
function widen({model, tabulator}, after) {
  if (model.layout === "fit_columns") { return }
  const longest = new Map()
  for (const row of tabulator.rowManager.getDisplayRows().slice(0, 100)) {
    for (const cell of row.cells) {
      longest.set(cell.column, Math.max(longest.get(cell.column) ?? 0, cell.element?.textContent.length ?? 0))
    }
  }
  for (const [column, length] of longest) {
    const known = column.fillbookLongest
    if (known === undefined || length > known) { column.fillbookLongest = length }
    if (after && length > known && !column.widthFixed) { column.fitToData() }
  }
}

// An underscore template as a function, made once; the library makes one per cell.
function compiled(template) {
  const parts = template.split(/<%(=?)([\s\S]*?)%>/)
  let source = "let out = ''\n"
  for (let i = 0; i < parts.length; i += 3) {
    source += `out += ${JSON.stringify(parts[i])}\n`
    if (i + 2 < parts.length) { source += parts[i + 1] ? `out += (${parts[i + 2]})\n` : `${parts[i + 2]}\n` }
  }
  return new Function("value", `${source}return out`)
}

function quicken() {
  const table = Bokeh.Models.get("panel.models.tabulator.DataTabulator")?.prototype.default_view?.prototype
  if (table?.setData && !table.fillbook) {
    const whole = table.setData
    table.fillbook = true
    table.setData = function() {
      const ready = !this._initializing && !this._building && this.tabulator.initialized
      if (!ready) { return whole.call(this) }
      widen(this, false)
      const done = inPlace(this, this.getData()) ? Promise.resolve() : Promise.resolve(whole.call(this))
      return done.then((found) => { widen(this, true); return found })
    }
  }
  const formatter = Bokeh.Models.get("HTMLTemplateFormatter")?.prototype
  if (formatter?.doFormat && !formatter.fillbook) {
    const slow = formatter.doFormat, made = new Map()
    formatter.fillbook = true
    formatter.doFormat = function(...args) {
      if (args[2] == null || !this.template.startsWith("<% if (typeof value")) { return slow.apply(this, args) }
      if (!made.has(this.template)) { made.set(this.template, compiled(this.template)) }
      return made.get(this.template)(args[2])
    }
  }
}
quicken()
