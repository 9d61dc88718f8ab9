// Tables sort by a click on a head (once more: the other way), and long ones can be searched.
for (const table of document.querySelectorAll(".table")) {
  const body = table.querySelector("tbody");
  const heads = [...table.querySelectorAll("thead th")];
  const rows = [...body.rows];
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim().replace("\u2212", "-").replace(",", "");
    const number = parseFloat(text);
    return Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const order = (a, b) => {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1; // what is no number comes last
  };
  heads.forEach((head, column) => {
    const sort = () => {
      const up = head.ariaSort !== "ascending";
      heads.forEach((each) => { each.ariaSort = "none"; });
      head.ariaSort = up ? "ascending" : "descending";
      rows.sort((a, b) => (up ? 1 : -1) * order(value(a, column), value(b, column)));
      body.append(...rows);
    };
    head.tabIndex = 0;
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
  if (rows.length >= 10) {
    const search = document.createElement("input");
    search.type = "search";
    search.placeholder = "search";
    search.setAttribute("aria-label", "search " + table.id);
    search.addEventListener("input", () => {
      const wanted = search.value.toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
    table.querySelector(".scroll").before(search);
  }
}
