"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const show = () => { button.textContent = dark() ? "Light" : "Dark"; };
  const asked = new URLSearchParams(location.search).get("theme");
  if (asked === "dark" || asked === "light") root.dataset.theme = asked;
  button.hidden = false;
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; show(); });
  show();

  const links = [...document.querySelectorAll("nav a")];
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links) {
        if (link.hash === "#" + entry.target.id) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  document.querySelectorAll("main > section[id]").forEach((section) => seen.observe(section));

  const browser = document.getElementById("browser");
  if (!browser) return;
  const PAGE = 12;
  const rows = [...browser.querySelectorAll("details.chain")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const [controls, verdict, outcome, words, where, before, after] =
    ["controls", "f-verdict", "f-outcome", "f-words", "f-where", "f-before", "f-after"].map((id) => document.getElementById(id));
  let page = 0;
  const update = () => {
    const wanted = words.value.trim().toLowerCase();
    const found = rows.filter((row, index) =>
      (!verdict.value || row.dataset.verdict === verdict.value) &&
      (!outcome.value || row.dataset.outcome === outcome.value) &&
      (!wanted || texts[index].includes(wanted)));
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const visible = new Set(found.slice(page * PAGE, (page + 1) * PAGE));
    rows.forEach((row) => { row.hidden = !visible.has(row); });
    where.textContent = found.length
      ? `${page * PAGE + 1} to ${Math.min((page + 1) * PAGE, found.length)} of ${found.length}` : "none";
    before.disabled = page === 0;
    after.disabled = page === pages - 1;
  };
  const restart = () => { page = 0; update(); };
  verdict.addEventListener("change", restart);
  outcome.addEventListener("change", restart);
  words.addEventListener("input", restart);
  before.addEventListener("click", () => { page -= 1; update(); });
  after.addEventListener("click", () => { page += 1; update(); });
  controls.hidden = false;
  update();
})();
