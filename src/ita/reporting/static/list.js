"use strict";
// The list of posts: only the rows in sight exist.
ita.list = (() => {
  const { create, model } = ita;
  const HEIGHT = 84, SPARE = 6, THUMBNAIL = 60;
  let scroller, rows, posts = [], current = -1, sides = [];

  function status(side, post, name) {
    const numbers = side && model.record(side, post);
    if (numbers === undefined || numbers === null) return null;
    const right = model.isRight(numbers, post);
    const node = create("span", `${name} ${right ? "✓" : "✗"}`, right ? "verdict right" : "verdict wrong");
    node.setAttribute("aria-label", `${name} ${right ? "right" : "wrong"}`);
    node.setAttribute("role", "img");
    return node;
  }

  function thumbnail(post) {
    if (!model.about().pictures) return "";
    const picture = model.columns.picture[post];
    if (!picture) return create("span", "", "thumbnail none");
    const image = create("img", null, "thumbnail");
    image.src = `pictures/${picture[0]}`;
    image.alt = "";
    image.width = image.height = THUMBNAIL;
    image.loading = "lazy";
    image.decoding = "async";
    return image;
  }

  function row(place) {
    const post = posts[place], id = model.columns.id[post];
    const item = create("li");
    item.style.transform = `translateY(${place * HEIGHT}px)`;
    item.setAttribute("aria-posinset", place + 1);
    item.setAttribute("aria-setsize", posts.length);
    const link = create("a");
    link.href = ita.state.format({ post: id });
    if (place === current) link.setAttribute("aria-current", "true");
    const words = create("span", model.columns.words[post].join(" "), "words");
    words.dir = "auto";
    const below = create("span", null, "below");
    below.append(create("span", model.columns.split[post], "split"),
      ...[status(sides[0], post, "A"), status(sides[1], post, "B")].filter(Boolean));
    const text = create("span", null, "text");
    text.append(words, below);
    link.append(thumbnail(post), text);
    item.append(link);
    return item;
  }

  function draw() {
    const first = Math.max(Math.floor(scroller.scrollTop / HEIGHT) - SPARE, 0);
    const last = Math.min(Math.ceil((scroller.scrollTop + scroller.clientHeight) / HEIGHT) + SPARE, posts.length);
    const places = Array.from({ length: Math.max(last - first, 0) }, (_, number) => first + number);
    const focused = rows.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    rows.replaceChildren(...places.map(row));
    if (focused) rows.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  function show(matches, compared, selected) {
    const changed = matches.length !== posts.length || matches.some((post, place) => post !== posts[place]);
    posts = matches;
    sides = compared;
    rows.style.height = `${posts.length * HEIGHT}px`;
    current = posts.indexOf(selected);
    if (changed) scroller.scrollTop = 0;
    if (current >= 0) reveal();
    draw();
  }

  function reveal() {
    const top = current * HEIGHT;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + HEIGHT > scroller.scrollTop + scroller.clientHeight) {
      scroller.scrollTop = top + HEIGHT - scroller.clientHeight;
    }
  }

  function start() {
    scroller = document.getElementById("scroller");
    rows = document.getElementById("rows");
    let waiting = false;
    scroller.addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; draw(); });
    }, { passive: true });
    addEventListener("resize", draw);
  }

  return { start, show, posts: () => posts, place: () => current };
})();
