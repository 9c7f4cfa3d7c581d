/* What mptt's drag draws from the left, drawn from the right where the page reads so. */
if (document.documentElement.dir === "rtl") {
  const NEAR = 30; // mptt's own distance between pointer and ghost
  document.addEventListener("mousemove", (event) => {
    const line = document.getElementById("drag-line");
    const ghost = document.getElementById("ghost");
    if (ghost) {
      ghost.style.left = `${event.pageX + NEAR - ghost.offsetWidth}px`;
    }
    const cell = document.querySelector("#result_list tbody tr th");
    if (!line || !cell || !line.style.left) return;
    const left = `${line.offsetLeft}`;
    if (left === line.dataset.mirrored) return;
    const column = cell.getBoundingClientRect();
    const table = document.getElementById("result_list").getBoundingClientRect();
    const indent = line.offsetLeft - (column.left + window.scrollX);
    line.style.left = `${table.left + window.scrollX}px`;
    line.style.width = `${column.right - table.left - indent}px`;
    line.dataset.mirrored = `${line.offsetLeft}`;
  });
}
