"use strict";
// The page: choices, list and post follow the state.
ita.page = (() => {
  const { create, filters, list, model, state } = ita;
  const CHOICES = ["q", "in", "split", "outcome", "type", "seen", "error", "of", "seeds", "picture"];
  const NARROW = matchMedia("(max-width: 55rem)");
  const element = (id) => document.getElementById(id);
  let sides = [null, null], matches = [];

  const option = (value, text) => {
    const node = create("option", text);
    node.value = value;
    return node;
  };

  // At first: the first system, and the last one that reads image text, its own rather than that of other posts.
  function initial(about) {
    const systems = about.systems;
    const reads = systems.map((system) => (system.view === "it" ? (system.control ? 1 : 2) : 0));
    const second = reads.lastIndexOf(Math.max(...reads));
    const text = (number) => systems[number] && `${systems[number].key}/${systems[number].seeds[0]}/${systems[number].view}`;
    const split = ["test", "dev", "train"].find((name) => about.splits[name]);
    return { a: text(0), b: text(second), split };
  }

  function fillChoices(about) {
    element("split").append(option("", `all (${about.posts.toLocaleString("en")})`),
      ...Object.entries(about.splits).map(([name, count]) => option(name, `${name} (${count.toLocaleString("en")})`)));
    element("type").append(...about.types.map((type) => option(type, type)));
    for (const letter of ["a", "b"]) {
      element(`${letter}-system`).append(...about.systems.map((system) => option(system.key, system.name)));
      element(`${letter}-system`).addEventListener("change", () => chooseSystem(letter));
      for (const part of ["seed", "view"]) element(`${letter}-${part}`).addEventListener("change", () => choose(letter));
    }
    for (const system of document.querySelectorAll(".system")) system.hidden = about.systems.length === 0;
    element("more").open = !NARROW.matches && innerHeight > 1000;
  }

  function choose(letter) {
    const parts = ["system", "seed", "view"].map((part) => element(`${letter}-${part}`).value);
    state.set({ [letter]: parts.join("/") });
  }

  function chooseSystem(letter) {
    const system = model.about().systems.find(({ key }) => key === element(`${letter}-system`).value);
    const seed = Number(element(`${letter}-seed`).value);
    state.set({ [letter]: `${system.key}/${system.seeds.includes(seed) ? seed : system.seeds[0]}/${system.view}` });
  }

  function showChoices(asked) {
    for (const name of CHOICES) if (element(name).value !== asked[name]) element(name).value = asked[name];
    sides.forEach((side, number) => {
      if (!side) return;
      const letter = "ab"[number];
      element(`${letter}-system`).value = side.key;
      element(`${letter}-seed`).replaceChildren(...side.run.seeds.map((seed) => option(String(seed), `seed ${seed}`)));
      element(`${letter}-seed`).value = String(side.seed);
      element(`${letter}-view`).value = side.view;
    });
    const active = CHOICES.slice(4).filter((name) => asked[name] !== state.defaults()[name]).length;
    element("active").textContent = active ? `${active} set` : "";
    element("reset").hidden = CHOICES.every((name) => asked[name] === state.defaults()[name]);
  }

  function count() {
    const all = model.about().posts, posts = matches.length;
    const loaded = model.count() < all ? `, ${model.count().toLocaleString("en")} of ${all.toLocaleString("en")} loaded` : "";
    const text = `${posts.toLocaleString("en")} ${posts === 1 ? "post" : "posts"}${loaded}`;
    if (element("count").textContent !== text) element("count").textContent = text;
  }

  const selected = () => model.places.get(state.get().post) ?? -1;

  function showList() {
    const asked = state.get();
    matches = filters.matching(asked, ...sides);
    list.show(matches, sides, shown());
    count();
  }

  // The post of the address; on a wide page the first that matches where it names none.
  function shown() {
    const post = selected();
    return post < 0 && !NARROW.matches && matches.length ? matches[0] : post;
  }

  function showPost() {
    const post = shown(), article = element("post");
    document.body.classList.toggle("reading", selected() >= 0);
    if (post < 0) {
      article.replaceChildren(create("p", matches.length ? "Choose a post." : "No post matches.", "note empty"));
      return;
    }
    ita.post.show(article, post, sides);
    const missing = ita.post.parts(post, sides).filter((name) => !ita.has(name));
    if (missing.length) {
      Promise.all(missing.map(ita.load)).then(() => {
        if (shown() === post) ita.post.show(article, post, sides);
      }).catch(fail);
    }
  }

  function fail(error) {
    element("count").textContent = error.message;
    element("browser").removeAttribute("aria-busy");
  }

  // A and B of the address, the first ones where it names others than there are.
  function chosen() {
    const asked = model.about().systems.length ? ["a", "b"] : [];
    return asked.map((letter) => (model.named(state.get()[letter]).known ? state.get()[letter] : state.defaults()[letter]));
  }

  async function loadSides() {
    let texts;
    do {  // somebody may choose another system while one loads
      texts = chosen();
      await Promise.all(texts.map(model.loadSide));
    } while (texts.join() !== chosen().join());
    sides = texts.length ? texts.map(model.side) : [null, null];
  }

  async function follow(asked, before) {
    const compared = asked.a !== before.a || asked.b !== before.b;
    if (compared) await loadSides();
    showChoices(state.get());
    const searched = asked.q && (asked.q !== before.q || asked.in !== before.in || compared);
    if (searched && asked.in !== "post" && asked.in !== "entities") loadContexts();
    if (!compared && CHOICES.every((name) => asked[name] === before[name])) list.show(matches, sides, shown());
    else showList();
    showPost();
    if (asked.post !== before.post) element("post").scrollTop = 0;
  }

  // Contexts of all posts, once somebody searches in them.
  function loadContexts() {
    const chunks = Math.ceil(model.about().posts / model.about().chunk);
    const names = filters.contextsOf(...sides)
      .flatMap((number) => Array.from({ length: chunks }, (_, chunk) => `context-${number}-${chunk}`))
      .filter((name) => !ita.has(name));
    if (!names.length) return;
    Promise.all(names.map(ita.load)).then(() => {
      model.forget();
      showList();
    }).catch(fail);
  }

  function move(step) {
    const place = list.place() < 0 && step > 0 ? 0 : list.place() + step;
    if (place < 0 || place >= matches.length) return;
    state.set({ post: model.columns.id[matches[place]] });
  }

  function close() {
    state.set({ post: "" });
    (document.querySelector("#rows [aria-current]") || element("scroller")).focus();
  }

  const swap = () => state.set({ a: state.get().b, b: state.get().a });

  const keys = {
    j: () => move(1), ArrowDown: () => move(1), ArrowRight: () => move(1),
    k: () => move(-1), ArrowUp: () => move(-1), ArrowLeft: () => move(-1),
    "/": () => element("q").focus(),
    f: () => { element("more").open = !element("more").open; },
    b: () => document.getElementById("boxes")?.click(),
    s: swap,
    Escape: close,
    "?": () => element("keys").showModal(),
  };

  function press(event) {
    const typing = event.target.closest("input:not([type=checkbox]), select, textarea, dialog");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing && event.key === "Escape" && event.target.id === "q") event.target.blur();
    if (typing || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }

  function listen() {
    element("filters").addEventListener("submit", (event) => event.preventDefault());
    for (const name of CHOICES) {
      element(name).addEventListener(name === "q" ? "input" : "change", () => state.set({ [name]: element(name).value }));
    }
    element("reset").addEventListener("click", () => {
      const cleared = CHOICES.map((name) => [name, state.defaults()[name]]);
      state.set(Object.fromEntries(cleared));
    });
    element("help").addEventListener("click", keys["?"]);
    document.addEventListener("keydown", press);
    state.listen((asked, before) => follow(asked, before).catch(fail));
  }

  async function start() {
    const about = await ita.load("about");
    state.start(initial(about));
    fillChoices(about);
    list.start();
    listen();
    let painted = false;
    const paint = async () => {
      if (!painted) await loadSides();
      painted = true;
      showChoices(state.get());
      showList();
      showPost();
      performance.mark("list-and-post");
    };
    await model.loadPosts(async () => { if (!painted) await paint(); else count(); });
    await paint();
    element("browser").removeAttribute("aria-busy");
  }

  start().catch(fail);
  return { move, close };
})();
