"use strict";
// The table of classes: one comparison at a time, its rows filtered by name and sorted by a column.
(() => {
  const SHOWN = 200;
  const COLUMNS = ["class", "training examples", "baseline (%)", "difference", "low", "high"];
  const comparisons = JSON.parse(document.getElementById("comparisons").textContent);
  const choice = document.getElementById("comparison");
  const search = document.getElementById("class-name");
  const table = document.getElementById("class-table");
  let column = 3;
  let rising = true;

  const text = (value, index) => {
    if (value === null) return "—";
    if (index < 2) return value.toLocaleString("en");
    return ((index > 2 && value >= 0 ? "+" : "") + value.toFixed(2)).replace("-", "−");
  };
  const order = (a, b) => {
    const [x, y] = [a[column], b[column]];
    if (x === null || y === null) return (x === null) - (y === null);
    return (rising ? 1 : -1) * (typeof x === "string" ? x.localeCompare(y) : x - y);
  };

  const draw = () => {
    const one = comparisons[choice.value];
    const wanted = search.value.toLowerCase().replaceAll("_", " ");
    const found = one.classes.filter((row) => row[0].toLowerCase().replaceAll("_", " ").includes(wanted)).sort(order);
    const body = document.createElement("tbody");
    for (const row of found.slice(0, SHOWN)) {
      const line = body.insertRow();
      row.forEach((value, index) => {
        const cell = line.insertCell();
        cell.textContent = text(value, index);
        if (index) cell.className = "number";
      });
      if (row[4] !== null && row[4] > 0) line.cells[3].classList.add("good");
      if (row[5] !== null && row[5] < 0) line.cells[3].classList.add("bad");
    }
    table.tBodies[0].replaceWith(body);
    table.querySelectorAll("th").forEach((head, index) => {
      head.ariaSort = index === column ? (rising ? "ascending" : "descending") : "none";
    });
    document.getElementById("class-count").textContent =
      `${Math.min(SHOWN, found.length)} of ${found.length} classes; ${one.measure}, n = ${one.n}, differences from the ` +
      "baseline with 95 % intervals, each for itself: of twenty classes one would lie outside by chance.";
  };

  comparisons.forEach((one, index) => choice.add(new Option(one.label, index)));
  COLUMNS.forEach((name, index) => {
    const head = document.createElement("th");
    const button = document.createElement("button");
    head.scope = "col";
    if (index) head.className = "number";
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => {
      rising = column === index ? !rising : true;
      column = index;
      draw();
    });
    head.append(button);
    table.tHead.rows[0].append(head);
  });
  choice.addEventListener("change", draw);
  search.addEventListener("input", draw);
  draw();
})();
