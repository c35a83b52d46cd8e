"use strict";
// A post with its entities marked, and what went wrong in words.
ita.sentence = (() => {
  const { create, model } = ita;
  const COLOURS = 8;
  const NAMES = {
    boundary: "other boundary", type: "other type", both: "other boundary and type", invented: "invented",
  };

  const typeName = (type) => model.about().types[type];
  const percent = (thousandths) => (thousandths < 0 ? "" : `${(thousandths / 10).toFixed(thousandths < 1000 ? 1 : 0)} %`);

  function mark(post, entity) {
    const kind = model.about().errors[entity.kind];
    const node = create("mark", model.surface(post, entity), `type-${entity.type % COLOURS}`);
    const label = [typeName(entity.type)];
    if (entity.posterior !== undefined) label.push(percent(entity.posterior));
    node.append(" ", create("small", label.filter(Boolean).join(" ")));
    if (entity.kind > 0) {
      node.classList.add("error");
      node.append(" ", create("span", NAMES[kind], "kind"));
    }
    return node;
  }

  function marked(post, entities) {
    const words = model.columns.words[post];
    const paragraph = create("p", null, "sentence");
    paragraph.dir = "auto";
    let end = 0;
    for (const entity of entities) {
      if (entity.start > end) paragraph.append(`${words.slice(end, entity.start).join(" ")} `);
      paragraph.append(mark(post, entity), " ");
      end = entity.end;
    }
    paragraph.append(words.slice(end).join(" "));
    return paragraph;
  }

  function gold(post) {
    const card = create("section", null, "card gold");
    const entities = model.goldEntities(post);
    const head = create("h3", "Gold");
    card.append(head, marked(post, entities));
    if (model.columns.gold[post] === null) card.append(create("p", "This post has no gold tags.", "note"));
    const unseen = entities.filter((entity) => !entity.seen);
    if (unseen.length && model.columns.split[post] !== "train") {
      const names = unseen.map((entity) => `${model.surface(post, entity)} (${typeName(entity.type)})`);
      card.append(create("p", `Not seen in training: ${names.join(", ")}`, "note"));
    }
    return card;
  }

  function seedButtons(side, post, letter) {
    const group = create("div", null, "seeds");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Seeds of system ${letter}`);
    side.run.seeds.forEach((seed, at) => {
      const right = model.isRight(model.record(side, post, at), post);
      const button = create("button", `${seed} ${right ? "✓" : "✗"}`, right ? "right" : "wrong");
      button.type = "button";
      button.setAttribute("aria-pressed", seed === side.seed);
      button.setAttribute("aria-label", `Seed ${seed}: ${right ? "right" : "wrong"}`);
      button.id = `seed-${letter.toLowerCase()}-${seed}`;
      button.addEventListener("click", () => ita.state.set({ [letter.toLowerCase()]: `${side.key}/${seed}/${side.view}` }));
      group.append(button);
    });
    return group;
  }

  function predicted(side, post, letter) {
    const lower = letter.toLowerCase();
    const card = create("section", null, `card side-card-${lower}`);
    const head = create("h3");
    head.append(create("span", letter, `side side-${lower}`), " ", side.system.name, " ",
      create("small", `${side.view === "t" ? "T" : "I+T"}, seed ${side.seed}`));
    card.append(head);
    const numbers = model.record(side, post);
    if (numbers === undefined) {
      card.append(create("p", "Not evaluated on this post.", "note"));
      return card;
    }
    const entities = model.goldEntities(post);
    card.append(marked(post, model.entities(numbers, entities)));
    const missed = model.missed(numbers, entities);
    if (missed.length) {
      const line = create("p", "Missed: ", "missed");
      for (const entity of missed) line.append(mark(post, { ...entity, kind: 0 }), " ");
      card.append(line);
    }
    card.append(seedButtons(side, post, letter));
    return card;
  }

  return { gold, predicted };
})();
