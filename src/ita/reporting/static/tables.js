"use strict";
// Tables: sorted by a click on a heading, filtered by text and encoder, columns hidden. Without scripts they are whole.
(() => {
  const compare = new Intl.Collator(document.documentElement.lang, { numeric: true }).compare;

  function value(row, column) {
    const text = row.cells[column].dataset.sort;
    return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
  }

  function order(a, b, down) {
    if (a === null || b === null) return (a === null) - (b === null);  // what is empty comes last
    const both = typeof a === "number" && typeof b === "number";
    const difference = both ? a - b : compare(String(a), String(b));
    return down ? -difference : difference;
  }

  function sort(table, column, direction) {
    const body = table.tBodies[0];
    table.rowsAsMade ??= [...body.rows];
    const rows = [...table.rowsAsMade];
    if (direction) {
      rows.sort((a, b) => order(value(a, column), value(b, column), direction === "descending"));
    }
    body.append(...rows);
    for (const [place, head] of [...table.tHead.rows[0].cells].entries()) {
      if (place === column && direction) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    }
  }

  function makeSortable(table) {
    for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
      const name = head.querySelector(".heading");
      const button = ita.create("button", name.textContent, "sort");
      button.type = "button";
      name.replaceWith(button);
      const first = head.classList.contains("label") ? "ascending" : "descending";
      const second = first === "ascending" ? "descending" : "ascending";
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        sort(table, column, now === null ? first : now === first ? second : "");
      });
    }
  }

  function field(label, control, className) {
    const node = ita.create("label", null, `tool ${className}`);
    node.append(ita.create("span", label), control);
    return node;
  }

  function filters(section, tables) {
    const search = ita.create("input");
    search.type = "search";
    search.autocomplete = "off";
    const encoder = ita.create("select");
    const names = [...new Set(tables.flatMap((table) => [...table.tBodies[0].rows].map((row) => row.dataset.encoder)))];
    encoder.append(new Option("all", ""), ...names.map((name) => new Option(name, name)));
    const count = ita.create("p", null, "count");
    count.setAttribute("role", "status");
    const update = () => {
      const words = search.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
      for (const table of tables) {
        for (const row of table.tBodies[0].rows) {
          const labels = [...row.cells].filter((cell) => cell.classList.contains("label"));
          const text = labels.map((cell) => cell.textContent).join(" ").toLocaleLowerCase();
          const wanted = !encoder.value || row.dataset.encoder === encoder.value;
          row.hidden = !wanted || !words.every((word) => text.includes(word));
        }
      }
      const rows = [...tables[0].tBodies[0].rows];
      const shown = rows.filter((row) => !row.hidden).length;
      count.textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
    };
    search.addEventListener("input", update);
    encoder.addEventListener("change", update);
    update();
    const parts = [field("Filter rows", search, "search")];
    if (names.length > 1) parts.push(field("Encoder", encoder, "encoder"));
    return [...parts, count];
  }

  function showColumn(table, column, visible) {
    for (const row of table.rows) row.cells[column].hidden = !visible;
  }

  function columnChooser(tables) {
    const details = ita.create("details", null, "columns");
    const summary = ita.create("summary", "Columns");
    const badge = ita.create("span", "", "badge");
    summary.append(" ", badge);
    const list = ita.create("fieldset");
    list.append(ita.create("legend", "Columns that are shown", "visually-hidden"));
    const boxes = [];
    const tell = () => {
      const hidden = boxes.filter((box) => !box.checked).length;
      badge.textContent = hidden ? `${hidden} hidden` : "";
    };
    for (const table of tables) {
      const heads = [...table.tHead.rows[0].cells];
      for (const [column, head] of heads.entries()) {
        if (column === 0) continue;  // it names the row
        if (table !== tables[0] && head.classList.contains("label")) continue;
        const box = ita.create("input");
        box.type = "checkbox";
        box.checked = head.dataset.hidden === undefined;
        const label = ita.create("label", null, "choice");
        label.append(box, ita.create("span", head.dataset.heading));
        const apply = () => {
          const alike = head.classList.contains("label") ? tables : [table];
          for (const each of alike) showColumn(each, column, box.checked);
          tell();
        };
        box.addEventListener("change", apply);
        boxes.push(box);
        list.append(label);
        apply();
      }
    }
    details.append(summary, list);
    details.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !details.open) return;
      details.open = false;
      summary.focus();
    });
    document.addEventListener("click", (event) => {
      if (!details.contains(event.target)) details.open = false;
    });
    return details;
  }

  for (const section of document.querySelectorAll("section.table")) {
    const tables = [...section.querySelectorAll("table")];
    tables.forEach(makeSortable);
    const tools = section.querySelector(".tools");
    tools.append(...filters(section, tables), columnChooser(tables));
    tools.hidden = false;
  }
})();
