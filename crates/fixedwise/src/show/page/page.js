
"use strict";
// Tables sort by their heads; a point of the front shows its row.
function ready(root) {
  for (const head of root.querySelectorAll("thead th")) {
    if (!head.textContent.trim()) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => sort(head));
  }
  const told = root.querySelector("#told");
  for (const point of root.querySelectorAll(".front a")) {
    const row = root.querySelector(point.getAttribute("href"));
    const show = () => {
      for (const other of root.querySelectorAll("tr.told")) other.classList.remove("told");
      row.classList.add("told");
      const more = row.querySelector("pre");
      told.textContent = point.getAttribute("aria-label") + (more ? "\n" + more.textContent : "");
    };
    point.addEventListener("mouseenter", show);
    point.addEventListener("focus", show);
    point.addEventListener("click", () => {
      const details = row.querySelector("details");
      if (details) details.open = true;
    });
  }
}
function sort(head) {
  const body = head.closest("table").tBodies[0];
  const place = head.cellIndex;
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = (row) => {
    const cell = row.cells[place];
    if (!cell) return null;
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    return cell.textContent.trim() || null;
  };
  const rows = Array.from(body.rows, (row) => [key(row), row]);
  rows.sort(([a], [b]) => {
    // What is empty stands last, whichever way.
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });
    return up ? order : -order;
  });
  body.append(...rows.map(([, row]) => row));
}
ready(document);
