// Tables brought up to date in place. Tabulator builds every row anew for each update and measures the table in between,
// which costs a page a tenth of a second; with several pages on one machine that is all there is. Where nothing but
// values changed, the cells that differ are written and everything else is left alone. Whatever is out of the ordinary
// (other rows, a sort or filter of the reader's own, groups, an edit) goes the library's own way.
function untouched(view) {
  const {tabulator, model} = view
  return model.pagination !== "remote" && model.groupby.length === 0 && model.expanded.length === 0
    && tabulator.getSorters().length === 0 && tabulator.getFilters(true).length === 0
    && view.container.querySelector(".tabulator-editing") === null
}

function inPlace(view, data) {
  const {rows} = view.tabulator.rowManager
  if (rows.length === 0 || rows.length !== data.length || !untouched(view)) { return false }
  if (rows.some((row, i) => row.data._index !== data[i]._index)) { return false }
  rows.forEach((row, i) => {
    for (const cell of row.cells) {
      const value = data[i][cell.column.field]
      if (!Object.is(cell.value, value)) { cell.setValueActual(value) }
    }
    Object.assign(row.data, data[i])
  })
  return true
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
      return ready && inPlace(this, this.getData()) ? Promise.resolve() : whole.call(this)
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
