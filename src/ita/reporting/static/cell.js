"use strict";
// What lies behind a score: seeds, differences with intervals and p, training, settings, files. Opened in a dialog.
(() => {
  const { cells, runs, tests } = ita.get("tables");
  const dialog = document.getElementById("cell");
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 320;
  const fixed = (number, digits = 2) => number.toFixed(digits).replace("-", "−");
  const signed = (number) => (number > 0 ? "+" : "") + fixed(number);

  function draw(name, attributes, text) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function picture(className, height) {
    return draw("svg", { class: className, viewBox: `0 0 ${WIDTH} ${height}`, width: WIDTH, height, "aria-hidden": "true" });
  }

  function scale(values) {
    const low = Math.min(...values);
    const high = Math.max(...values);
    const room = high > low ? high - low : 1;
    return (value) => 12 + (WIDTH - 24) * (high > low ? (value - low) / room : 0.5);
  }

  // Dots of the seeds on a line, the mean as a stroke, the deviation as a bar.
  function drawSeeds(record) {
    const { mean } = record;
    const std = record.std ?? 0;
    const at = scale([...record.seeds, mean - std, mean + std]);
    const svg = picture("seeds-drawn", 52);
    if (std) svg.append(draw("rect", { class: "deviation", x: at(mean - std), y: 8, width: at(mean + std) - at(mean - std), height: 18, rx: 3 }));
    svg.append(draw("path", { class: "mean", d: `M${at(mean)} 4V30` }));
    for (const seed of record.seeds) svg.append(draw("circle", { cx: at(seed), cy: 17, r: 4.5 }));
    const ends = [Math.min(...record.seeds), Math.max(...record.seeds)];
    const anchors = ["start", "end"];
    if (ends[1] > ends[0]) {
      ends.forEach((end, place) => svg.append(draw("text", { x: at(end) + (place ? 6 : -6), y: 46, "text-anchor": anchors[place] }, fixed(end))));
    }
    return svg;
  }

  function drawDifference(compared) {
    const ends = [compared.low, compared.high];
    const at = scale([0, compared.gain, ...ends]);
    const svg = picture(`whisker${compared.low > 0 || compared.high < 0 ? " clear" : ""}`, 24);
    svg.append(
      draw("path", { class: "zero", d: `M${at(0)} 0V24` }),
      draw("path", { d: `M${at(ends[0])} 12H${at(ends[1])}M${at(ends[0])} 7v10M${at(ends[1])} 7v10` }),
      draw("circle", { cx: at(compared.gain), cy: 12, r: 4.5 }),
    );
    return svg;
  }

  function table(caption, headings, rows, className) {
    const node = ita.create("table", null, className);
    const head = node.createTHead().insertRow();
    for (const heading of headings) {
      const cell = ita.create("th", heading);
      cell.scope = "col";
      head.append(cell);
    }
    node.prepend(ita.create("caption", caption, "visually-hidden"));
    const body = node.createTBody();
    for (const [name, ...values] of rows) {
      const row = body.insertRow();
      const cell = ita.create("th", name);
      cell.scope = "row";
      row.append(cell);
      for (const value of values) {
        const item = row.insertCell();
        if (value instanceof Node) item.append(value);
        else item.textContent = value;
      }
    }
    return node;
  }

  function part(title, ...content) {
    const section = ita.create("section");
    section.append(ita.create("h3", title), ...content.filter(Boolean));
    return section;
  }

  function seedsPart(record, run) {
    const known = run && run.seeds.length === record.seeds.length ? run.seeds : null;
    const rows = record.seeds.map((value, place) => {
      const seed = known?.[place];
      const links = ita.create("span", null, "links");
      for (const [name, address] of seed?.links ?? []) {
        const link = ita.create("a", name);
        link.href = address;
        links.append(link, " ");
      }
      return [seed ? String(seed.seed) : `(${place + 1})`, fixed(value), seed?.facts.best_epoch ?? "", links];
    });
    const summary = ita.create("p", null, "summary");
    const spread = record.std === null ? "" : `, deviation ${fixed(record.std)}`;
    summary.textContent = `Mean ${fixed(record.mean)}${spread}, ${rows.length} ${rows.length === 1 ? "seed" : "seeds"}.`;
    const note = known && ita.create("p", "Files and logs open where the report still lies beside the runs, in results/.", "note");
    const scroll = ita.create("div", null, "scroll");
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", "Seeds");
    scroll.append(table("Seeds", ["seed", record.column.split(",")[0], "epoch", "files"], rows, "of-seeds"));
    return part("Seeds", drawSeeds(record), summary, scroll, note);
  }

  function comparedPart(compared) {
    const p = (value) => (value === null ? "" : value < 0.001 ? "< 0.001" : value.toPrecision(2));
    const interval = `95 % interval ${signed(compared.low)} to ${signed(compared.high)} (bootstrap over posts)`;
    const summary = ita.create("p", `${signed(compared.gain)} points, ${interval}.`, "summary");
    const rows = tests.map((name, place) => [name, ...compared.p[place].map(p)]).filter((row) => row[1] || row[2]);
    const values = rows.length ? table("Tests", ["test", "p", "p, Holm"], rows, "of-tests") : null;
    return part(`Difference to ${compared.with}`, drawDifference(compared), summary, values);
  }

  function listed(pairs, className) {
    const list = ita.create("dl", null, className);
    for (const [name, value] of pairs) list.append(ita.create("dt", name), ita.create("dd", value));
    return list;
  }

  function settingsPart(run) {
    const details = ita.create("details");
    const facts = Object.entries(run.seeds[0].facts).filter(([name]) => name !== "best_epoch");
    details.append(ita.create("summary", "Settings of these runs"), listed([...run.settings, ...facts], "settings"));
    return details;
  }

  function fill(record) {
    const run = runs[record.runs];
    const head = ita.create("header");
    const title = ita.create("h2", `${record.row}: ${record.text}`);
    title.id = "cell-title";
    const close = ita.create("button", "Close");
    close.type = "button";
    close.addEventListener("click", () => dialog.close());
    head.append(title, close);
    const place = ita.create("p", `${record.column}. ${record.table}`, "note");
    const body = ita.create("div", null, "parts");
    body.append(seedsPart(record, run), ...record.compared.map(comparedPart));
    if (record.training.length) body.append(part("Training", listed(record.training, "facts")));
    if (run) body.append(settingsPart(run));
    dialog.replaceChildren(head, place, body);
  }

  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  for (const cell of document.querySelectorAll("td[data-cell]")) {
    const button = ita.create("button", cell.textContent, "score");
    button.type = "button";
    button.setAttribute("aria-haspopup", "dialog");
    button.addEventListener("click", () => {
      fill(cells[Number(cell.dataset.cell)]);
      dialog.showModal();
      dialog.scrollTop = 0;
    });
    cell.replaceChildren(button);
  }
})();
