// The page of models: filters above its tables, and columns that sort. Without it they are tables.
// A row is shown where all filters say so; an order holds for all tables at once. Both are in the
// address, so that a view can be sent to somebody.
(() => {
  "use strict";

  const COLUMNS = [
    "name", "aliases", "official configuration", "keypoints", "input", "parameters", "figures",
    "training data", "licence", "sources",
  ];
  const column = (name) => COLUMNS.indexOf(name);

  const tables = [...document.querySelectorAll("article table")].filter(
    (table) => table.tHead && COLUMNS.every((name, i) => table.tHead.rows[0].cells[i]?.textContent.trim() === name),
  );
  if (!tables.length) return;

  // What is known of each row, in the page's own order.
  const rows = tables.flatMap((table) => {
    const heading = headingOf(table);
    return [...table.tBodies[0].rows].map((row) => {
      const cells = [...row.cells].map((cell) => cell.textContent.trim());
      return { row, table, cells, task: heading.task, text: `${heading.task} ${cells.join(" ")}`.toLowerCase() };
    });
  });
  rows.forEach((known, number) => { known.number = number; });

  function headingOf(table) {
    let part = table;
    while (part && part.parentElement.tagName !== "ARTICLE") part = part.parentElement;
    while (part && part.tagName !== "H2") part = part.previousElementSibling;
    return { element: part, task: (part?.firstChild?.textContent || "").trim() };
  }

  // The filters: how a row's value is found, and whether a row fits what was chosen.
  const skeleton = (known) => known.cells[column("keypoints")].replace(/ \(\d+\)$/, "");
  const FILTERS = {
    text: {
      label: "Text",
      fits: (known, value) => value.toLowerCase().split(/\s+/).every((word) => known.text.includes(word)),
    },
    task: { label: "Task", of: (known) => known.task },
    keypoints: { label: "Keypoints", of: skeleton, shown: (known) => known.cells[column("keypoints")] },
    input: { label: "Input", of: (known) => known.cells[column("input")] },
    licence: { label: "Licence", of: (known) => known.cells[column("licence")] },
    parameters: {
      label: "Parameters up to (millions)",
      fits: (known, value) => Number.parseFloat(known.cells[column("parameters")] || "0") <= Number(value),
    },
  };

  const form = document.createElement("form");
  form.className = "models-filter";
  form.setAttribute("role", "search");
  form.setAttribute("aria-label", "Models");
  const controls = {};
  for (const [name, filter] of Object.entries(FILTERS)) add(name, filter.label, control(name, filter));
  const order = document.createElement("select");
  order.append(new Option("as listed", ""));
  for (const name of COLUMNS) order.append(new Option(name, name), new Option(`${name}, downwards`, `-${name}`));
  add("sort", "Order", order);
  const reset = document.createElement("button");
  reset.type = "reset";
  reset.textContent = "Show all";
  const count = document.createElement("output");
  count.setAttribute("aria-live", "polite");
  form.append(reset, count);

  function add(name, label, element) {
    controls[name] = element;
    element.name = name;
    const around = document.createElement("label");
    around.append(label, element);
    form.append(around);
  }

  function control(name, filter) {
    if (filter.of) {
      const select = document.createElement("select");
      select.append(new Option("all", ""));
      const values = new Map(rows.map((known) => [filter.of(known), (filter.shown || filter.of)(known)]));
      values.delete("");
      for (const value of [...values.keys()].sort(naturally)) select.append(new Option(values.get(value), value));
      return select;
    }
    const input = document.createElement("input");
    input.type = name === "parameters" ? "number" : "search";
    if (name === "parameters") { input.min = "0"; input.step = "any"; }
    else { input.placeholder = "rtmpose, hand, coco ..."; }
    return input;
  }

  // What a column is sorted by; a row without a value comes last.
  function naturally(a, b) { return a.localeCompare(b, "en", { numeric: true }); }
  const size = (text) => text.split("x").map(Number.parseFloat).reduce((product, number) => product * number, 1);
  function compare(name, a, b) {
    const [first, second] = [a.cells[column(name)], b.cells[column(name)]];
    if (!first || !second) return 0;
    if (name === "parameters") return Number.parseFloat(first) - Number.parseFloat(second);
    if (name === "input") return size(first) - size(second) || naturally(first, second);
    if (name === "figures") {
      // By data set and measure, then by its first number.
      const [, what, value] = first.match(/^(.*?) (-?[\d.]+)(?:;|$)/) || [0, first, 0];
      const [, other, number] = second.match(/^(.*?) (-?[\d.]+)(?:;|$)/) || [0, second, 0];
      return naturally(what, other) || value - number;
    }
    return naturally(first, second);
  }

  function sort(wanted) {
    const down = wanted.startsWith("-");
    const name = wanted.replace(/^-/, "");
    const place = column(name);
    const sorted = [...rows].sort((a, b) => {
      if (place < 0) return a.number - b.number;
      const missing = Number(!a.cells[place]) - Number(!b.cells[place]);
      return missing || (down ? -1 : 1) * compare(name, a, b) || a.number - b.number;
    });
    for (const known of sorted) known.table.tBodies[0].append(known.row);
    for (const table of tables) {
      for (const [i, cell] of [...table.tHead.rows[0].cells].entries()) {
        if (i === place) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        else cell.removeAttribute("aria-sort");
      }
    }
  }

  function show() {
    const chosen = Object.entries(FILTERS)
      .map(([name, filter]) => [filter, controls[name].value.trim()])
      .filter(([, value]) => value);
    const fits = (known) => chosen.every(([filter, value]) => (filter.fits ? filter.fits(known, value) : filter.of(known) === value));
    let shown = 0;
    const full = new Set();
    for (const known of rows) {
      known.row.hidden = !fits(known);
      if (!known.row.hidden) { shown += 1; full.add(known.table); }
    }
    for (const table of tables) {
      headingOf(table).element?.toggleAttribute("hidden", !full.has(table));
      table.closest(".models-scroll").toggleAttribute("hidden", !full.has(table));
    }
    count.textContent = shown === rows.length ? `${shown} models` : `${shown} of ${rows.length} models`;
  }

  let sorted = "";
  function update() {
    show();
    if (order.value !== sorted) sort((sorted = order.value));
    const said = new URLSearchParams();
    for (const [name, element] of Object.entries(controls)) if (element.value) said.set(name, element.value);
    const query = said.size ? `?${said}` : "";
    history.replaceState(history.state, "", `${location.pathname}${query}${location.hash}`);
  }

  for (const table of tables) {
    table.className = "models";
    const around = document.createElement("div");
    around.className = "models-scroll";
    const whole = table.closest(".md-typeset__scrollwrap") || table;
    whole.replaceWith(around);
    around.append(table);
    for (const [i, cell] of [...table.tHead.rows[0].cells].entries()) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = COLUMNS[i];
      button.addEventListener("click", () => {
        order.value = order.value === COLUMNS[i] ? `-${COLUMNS[i]}` : COLUMNS[i];
        update();
      });
      cell.replaceChildren(button);
    }
    for (const row of table.tBodies[0].rows) {
      for (const [i, cell] of [...row.cells].entries()) cell.dataset.label = COLUMNS[i];
    }
  }

  const asked = new URLSearchParams(location.search);
  for (const [name, element] of Object.entries(controls)) if (asked.has(name)) element.value = asked.get(name);
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(update));
  headingOf(tables[0]).element.before(form);
  update();
})();
