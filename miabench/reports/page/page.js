"use strict";
// Sorting and filtering of the tables, and cells that open when they are linked to or printed. Without this script the
// page shows everything in the experiment's order.

function key(row, column) {
  const cell = row.cells[column];
  if (cell.classList.contains("name")) return cell.textContent.trim();
  return cell.dataset.number === undefined ? null : Number(cell.dataset.number);
}

function compare(a, b) {
  return typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
}

// Ascending, then descending, then the experiment's order; rows without a number stay below in both.
function sort(table, column) {
  const headers = [...table.tHead.rows[0].cells];
  const next = { ascending: "descending", descending: null }[headers[column].getAttribute("aria-sort")];
  const order = next === undefined ? "ascending" : next;
  headers.forEach((header) => header.removeAttribute("aria-sort"));
  if (order) headers[column].setAttribute("aria-sort", order);
  const sign = order === "descending" ? -1 : 1;
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => {
    if (!order) return a.dataset.place - b.dataset.place;
    const [x, y] = [key(a, column), key(b, column)];
    if (x === null || y === null) return (x === null) - (y === null) || a.dataset.place - b.dataset.place;
    return sign * compare(x, y) || a.dataset.place - b.dataset.place;
  });
  table.tBodies[0].append(...rows);
}

function filter(tables, text, status) {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word && word !== "-");
  const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);
  for (const row of rows) {
    const names = row.dataset.names;
    row.hidden = !words.every((word) => (word.startsWith("-") ? !names.includes(word.slice(1)) : names.includes(word)));
  }
  status.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
}

function open(hash) {
  const target = hash.length > 1 && document.getElementById(decodeURIComponent(hash.slice(1)));
  if (target && target.tagName === "DETAILS") {
    target.open = true;
    target.querySelector("summary").focus({ preventScroll: true });
    target.scrollIntoView();
  }
}

const tables = [...document.querySelectorAll("table.sortable")];
for (const table of tables) {
  const about = table.caption.textContent.toLowerCase();
  [...table.tBodies[0].rows].forEach((row, place) => {
    row.dataset.place = place;
    row.dataset.names = [about.split(":")[0], ...[...row.querySelectorAll("th")].map((name) => name.textContent)]
      .join(" ").toLowerCase();
  });
  table.querySelectorAll("thead button").forEach((button, column) => {
    button.addEventListener("click", () => sort(table, column));
  });
}
const box = document.getElementById("filter");
box.addEventListener("input", () => filter(tables, box.value, document.getElementById("shown")));
addEventListener("hashchange", () => open(location.hash));
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (link) setTimeout(() => open(link.hash));  // the same link twice changes no hash
});
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
open(location.hash);
