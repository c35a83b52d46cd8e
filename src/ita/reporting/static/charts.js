"use strict";
// Charts of one system or encoder, or of all.
(() => {
  const figures = [...document.querySelectorAll("figure.chart")];
  const fields = { name: document.getElementById("system"), encoder: document.getElementById("encoder") };
  const count = document.getElementById("count");
  const update = () => {
    for (const figure of figures) {
      figure.hidden = Object.entries(fields).some(([key, field]) => field?.value && figure.dataset[key] !== field.value);
    }
    const shown = figures.filter((figure) => !figure.hidden).length;
    count.textContent = shown === figures.length ? `${shown} charts` : `${shown} of ${figures.length} charts`;
  };
  for (const field of Object.values(fields)) field?.addEventListener("change", update);
  update();
  document.getElementById("tools").hidden = figures.length === 0;
})();
