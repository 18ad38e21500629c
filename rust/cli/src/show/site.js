"use strict";
for (const form of document.querySelectorAll("form.filters")) {
  const rows = [...document.querySelectorAll("table.rows tbody tr[data-tier]")];
  const peak = (row, workload) => {
    const found = row.dataset.peaks.split(" ").find((one) => one.startsWith(workload + "="));
    return found ? Number(found.split("=")[1]) : -1;
  };
  const filter = () => {
    const { words, tier, least, workload } = form.elements;
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.dataset.words.toLowerCase();
      const fits =
        wanted.every((word) => text.includes(word)) &&
        (!tier.value || row.dataset.tier === tier.value) &&
        (!least.value || peak(row, workload.value) >= Number(least.value));
      row.hidden = !fits;
      shown += fits;
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length} rows`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();
}
