"use strict";
// One post: tagged words, picture with boxes, texts, contexts as the taggers read them.
ita.post = (() => {
  const { create, model } = ita;
  const SVG = "http://www.w3.org/2000/svg";
  const TEXT_NAMES = { captions: "Captions", ocr: "OCR", knowledge: "Knowledge" };
  let boxes = true;

  const section = (title, className) => {
    const node = create("section", null, className);
    node.append(create("h3", title));
    return node;
  };

  function drawing(picture, objects) {
    const [file, width, height] = picture;
    const stage = create("div", null, "stage");
    const image = create("img");
    image.src = `pictures/${file}`;
    image.width = width;
    image.height = height;
    image.alt = "Picture of the post";
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const shapes = objects.map(([, , box]) => {
      if (!box) return null;
      const shape = document.createElementNS(SVG, "rect");
      shape.setAttribute("x", box[0]);
      shape.setAttribute("y", box[1]);
      shape.setAttribute("width", Math.max(box[2] - box[0], 0));
      shape.setAttribute("height", Math.max(box[3] - box[1], 0));
      svg.append(shape);
      return shape;
    });
    stage.append(image, svg);
    return { stage, svg, shapes };
  }

  function toggle(svg) {
    const label = create("label", null, "toggle");
    const box = create("input");
    box.type = "checkbox";
    box.id = "boxes";
    box.checked = boxes;
    box.addEventListener("change", () => {
      boxes = box.checked;
      svg.toggleAttribute("hidden", !boxes);
    });
    svg.toggleAttribute("hidden", !boxes);
    label.append(box, " Boxes of the tags");
    return label;
  }

  function tagButton([label, score, , attributes], shape) {
    const node = create("button", label, "tag");
    node.type = "button";
    const about = [score === null ? "" : `${Math.round(score / 10)} %`, attributes.map(([name]) => name).join(", ")];
    node.append(" ", create("small", about.filter(Boolean).join(" · ")));
    const light = (on) => shape && shape.classList.toggle("lit", on);
    for (const [name, on] of [["mouseenter", true], ["focus", true], ["mouseleave", false], ["blur", false]]) {
      node.addEventListener(name, () => light(on));
    }
    return node;
  }

  // Picture and tags; the first detector's boxes are drawn.
  function pictured(post, detectors) {
    const picture = model.columns.picture[post], names = model.about().detectors;
    const node = create("div", null, model.about().pictures ? "pictured" : "pictured none");
    const first = detectors[0] || [];
    let shapes = [];
    if (picture) {
      const drawn = drawing(picture, first);
      shapes = drawn.shapes;
      const figure = create("figure");
      figure.append(drawn.stage);
      if (shapes.some(Boolean)) figure.append(toggle(drawn.svg));
      node.append(figure);
    } else node.append(create("p", noPicture(post), "note"));
    const texts = create("div", null, "read");
    detectors.forEach((objects, number) => {
      const tags = section(names.length > 1 ? `Tags (${names[number]})` : "Tags");
      const list = create("div", null, "tags");
      list.append(...objects.map((object, place) => tagButton(object, number ? null : shapes[place])));
      tags.append(objects.length ? list : create("p", "None.", "note"));
      texts.append(tags);
    });
    texts.append(...written(post));
    node.append(texts);
    return node;
  }

  function noPicture(post) {
    const status = model.columns.status[post];
    if (!status) return "A post without a picture.";
    return status === "ok" ? "The picture is not part of this report." : `No picture (${status}).`;
  }

  function written(post) {
    const sources = model.about().texts;
    const several = (kind) => sources.filter(([other]) => other === kind).length > 1;
    return model.columns.texts[post].map((texts, number) => {
      const [kind, name] = sources[number];
      const node = section(several(kind) || kind === "knowledge" ? `${TEXT_NAMES[kind]} (${name})` : TEXT_NAMES[kind]);
      const list = create("ol", null, "texts");
      for (const text of texts) {
        const item = create("li", text.trim().replace(/\s*\n\s*/g, "\n"));
        item.dir = "auto";
        list.append(item);
      }
      node.append(texts.length ? list : create("p", "None.", "note"));
      return node;
    });
  }

  // Words of a context; what did not fit into the input is at its end.
  function contextOf(side, post) {
    const read = model.segments(side.system.context, post) || [];
    const segments = read.filter(([number]) => number !== null);
    const more = read.filter(([number]) => number === null).map(([, count]) => count)[0] || 0;
    const room = side.run.without_room;
    const at = room ? room[0].indexOf(post) : -1;
    let kept = segments.reduce((sum, [, text, cut]) => sum + (cut || !text ? 0 : text.split(" ").length), 0);
    kept -= at < 0 ? 0 : room[1][at];
    const paragraph = create("p", null, "context");
    paragraph.dir = "auto";
    let kind = null;
    for (const [number, text, cut] of segments) {
      if (!text) {
        paragraph.append(create("span", "⁄", "separator"), " ");
        continue;
      }
      const words = text.split(" ");
      const read = cut ? [] : words.slice(0, Math.max(kept, 0));
      if (!cut) kept -= words.length;
      if (number !== kind) paragraph.append(create("span", model.about().kinds[number], "context-kind"), " ");
      kind = number;
      if (read.length) paragraph.append(read.join(" "), " ");
      if (read.length < words.length) paragraph.append(leftOut(words.slice(read.length), cut), " ");
    }
    return { paragraph, unknown: room === null && segments.length > 0, empty: read.length === 0, more };
  }

  function leftOut(words, cut) {
    const node = create("del", words.join(" "));
    const reason = cut ? "left out by the budget" : "no room in the input";
    node.prepend(create("span", `${reason}: `, "visually-hidden"));
    node.title = reason;
    return node;
  }

  function contexts(post, sides) {
    const node = section("What the taggers read beside the words", "contexts");
    const readers = sides.filter(Boolean);
    const shared = readers.length === 2 && readers.every((side) => side.view === "it")
      && readers[0].system.context === readers[1].system.context
      && JSON.stringify(readers[0].run.without_room) === JSON.stringify(readers[1].run.without_room);
    const shown = shared ? readers.slice(0, 1) : readers;
    for (const side of shown) {
      const letters = shared ? "A and B" : side === sides[0] ? "A" : "B";
      const card = create("div", null, "card");
      card.append(create("h4", `${letters}: ${shared ? model.about().contexts[side.system.context] : side.system.name}`));
      card.append(...reading(side, post));
      node.append(card);
    }
    return node;
  }

  function reading(side, post) {
    if (side.view === "t") return [create("p", "The words alone (view T).", "note")];
    const nodes = [];
    const { paragraph, unknown, empty, more } = contextOf(side, post);
    nodes.push(empty ? create("p", "An empty context.", "note") : paragraph);
    if (paragraph.querySelector("del")) nodes.push(create("p", "Struck through: left out by the budget, or for lack of room in the input.", "note"));
    if (more) nodes.push(create("p", `The budget left out ${more} more ${more === 1 ? "word" : "words"}, which this report does not have.`, "note"));
    if (unknown) nodes.push(create("p", "Whether all of it fitted into the input is not known: the run has no tokenizer beside it.", "note"));
    if (side.system.regions) nodes.push(create("p", "Also regions of the picture.", "note"));
    return nodes;
  }

  function steps(place, count) {
    const node = create("div", null, "steps");
    for (const [id, text, name, step] of [["back", "List", "Back to the list", 0], ["previous", "←", "Previous post", -1], ["next", "→", "Next post", 1]]) {
      const button = create("button", text);
      button.id = id;
      button.type = "button";
      button.setAttribute("aria-label", name);
      button.disabled = step < 0 ? place <= 0 : step > 0 && place >= count - 1;
      button.addEventListener("click", () => ita.page[step ? "move" : "close"](step));
      node.append(button);
    }
    return node;
  }

  function head(post) {
    const node = create("header", null, "post-head");
    const id = model.columns.id[post], posts = ita.list.posts(), place = ita.list.place();
    const title = create("h2", id);
    const link = create("a", "Link");
    link.href = ita.state.format({ post: id });
    link.setAttribute("aria-label", "Link to this post");
    const where = place < 0 ? "not among the posts that match" : `${(place + 1).toLocaleString("en")} of ${posts.length.toLocaleString("en")}`;
    const about = create("p", `${model.columns.split[post]} · ${where} · `, "note");
    about.append(link);
    const text = create("div");
    text.append(title, about);
    node.append(text, steps(place, posts.length));
    return node;
  }

  function show(article, post, sides) {
    const chunk = model.chunkOf(post);
    const objects = (ita.get(`objects-${chunk}`) || [])[post % model.about().chunk] || [];
    const focused = article.contains(document.activeElement) ? document.activeElement.id : "";
    const compared = create("div", null, "compared");
    compared.append(...sides.map((side, number) => side && ita.sentence.predicted(side, post, "AB"[number])).filter(Boolean));
    article.replaceChildren(head(post), ita.sentence.gold(post), compared, pictured(post, objects), contexts(post, sides));
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  // Scripts with the rest of a post.
  function parts(post, sides) {
    const chunk = model.chunkOf(post);
    const numbers = ita.filters.contextsOf(...sides);
    return [`objects-${chunk}`, ...numbers.map((number) => `context-${number}-${chunk}`)];
  }

  return { show, parts };
})();
