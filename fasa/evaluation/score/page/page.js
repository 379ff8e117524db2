for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];

  const sort = (column, descending) => {
    const key = (row) => row.cells[column].textContent;
    const numeric = (text) => parseFloat(text.replace(/,/g, ""));
    const numbers = rows.some((row) => !Number.isNaN(numeric(key(row)))) && column > 0;
    const order = (a, b) => {
      if (!numbers) return key(a).localeCompare(key(b)) * (descending ? -1 : 1);
      const [x, y] = [numeric(key(a)), numeric(key(b))];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return (x - y) * (descending ? -1 : 1);
    };
    body.append(...[...rows].sort(order));
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.hasAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : column > 0;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sort(column, descending);
    });
  });

  table.closest("details").querySelector(".search").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
  });
}
