"use strict";
// Posts, runs and what is known of them, as the scripts of data/ hold it.
ita.model = (() => {
  const RIGHT = 0, MISSED = 4, INVENTED = 5, NUMBERS = 6, GOLD_NUMBERS = 4;
  const columns = { id: [], split: [], words: [], gold: [], picture: [], status: [], texts: [] };
  const places = new Map();
  const haystacks = new Map();
  let about = null;

  function add(chunk) {
    for (const [name, column] of Object.entries(columns)) {
      for (const value of chunk[name]) column.push(value);
    }
    for (let number = places.size; number < columns.id.length; number += 1) places.set(columns.id[number], number);
  }

  async function loadPosts(tell) {
    about = await ita.load("about");
    const count = Math.ceil(about.posts / about.chunk);
    for (let number = 0; number < count; number += 1) {
      add(await ita.load(`posts-${number}`));
      tell(columns.id.length);
    }
  }

  // A system, seed and view from the address: encoder/system/seed/view.
  function named(text) {
    const parts = text.split("/");
    const view = parts.pop(), seed = Number(parts.pop()), key = parts.join("/");
    const number = about.systems.findIndex((system) => system.key === key);
    const known = number >= 0 && about.systems[number].seeds.includes(seed) && ["t", "it"].includes(view);
    return { view, seed, key, number, known };
  }

  function side(text) {
    const { view, seed, key, number } = named(text);
    const run = number < 0 ? undefined : ita.get(`run-${number}`);
    if (!run) return null;
    if (!run.places) run.places = new Map(run.posts.map((post, place) => [post, place]));
    const system = about.systems[number];
    return { text, key, number, system, run, seed, view, rows: run.views[view], at: Math.max(run.seeds.indexOf(seed), 0) };
  }

  const loadSide = (text) => ita.load(`run-${named(text).number}`);

  // What a side predicted of a post: six numbers an entity, undefined where it was not asked.
  function record(of, post, at = of.at) {
    const place = of.run.places.get(post);
    return place === undefined ? undefined : of.rows[at][place];
  }

  function entities(numbers, gold) {
    const found = [];
    for (let i = 0; i < numbers.length; i += NUMBERS) {
      const [start, end, type, posterior, kind, partner] = numbers.slice(i, i + NUMBERS);
      found.push({ start, end, type, posterior, kind, partner: partner < 0 ? null : gold[partner] });
    }
    return found;
  }

  function goldEntities(post) {
    const numbers = columns.gold[post] || [], found = [];
    for (let i = 0; i < numbers.length; i += GOLD_NUMBERS) {
      found.push({ start: numbers[i], end: numbers[i + 1], type: numbers[i + 2], seen: numbers[i + 3] === 1 });
    }
    return found;
  }

  function missed(numbers, gold) {
    const partners = new Set();
    for (let i = 5; i < numbers.length; i += NUMBERS) partners.add(numbers[i]);
    return gold.filter((_, number) => !partners.has(number));
  }

  function isRight(numbers, post) {
    if (numbers.length / NUMBERS !== (columns.gold[post] || []).length / GOLD_NUMBERS) return false;
    for (let i = 4; i < numbers.length; i += NUMBERS) if (numbers[i] !== RIGHT) return false;
    return true;
  }

  // Whether there is an error of a kind, and of an entity type on either side where one is given.
  function hasError(numbers, post, kind, type) {
    const gold = goldEntities(post);
    const named = (number) => type < 0 || number === type;
    if (kind === MISSED) return missed(numbers, gold).some((entity) => named(entity.type));
    for (let i = 0; i < numbers.length; i += NUMBERS) {
      if (numbers[i + 4] !== kind) continue;
      if (named(numbers[i + 2]) || (numbers[i + 5] >= 0 && named(gold[numbers[i + 5]].type))) return true;
    }
    return false;
  }

  const sameEntities = (one, two) => {
    if (one.length !== two.length) return false;
    for (let i = 0; i < one.length; i += NUMBERS) {
      if (one[i] !== two[i] || one[i + 1] !== two[i + 1] || one[i + 2] !== two[i + 2]) return false;
    }
    return true;
  };

  const surface = (post, entity) => columns.words[post].slice(entity.start, entity.end).join(" ");
  const chunkOf = (post) => Math.floor(post / about.chunk);

  function segments(context, post) {
    const chunk = context < 0 ? undefined : ita.get(`context-${context}-${chunkOf(post)}`);
    return chunk && chunk[post % about.chunk];
  }

  // Lower-case text of a post to search in, kept until something more is loaded.
  function haystack(scope, post, contexts) {
    const key = scope === "post" ? scope : `${scope}/${contexts.join("+")}`;
    if (!haystacks.has(key)) haystacks.set(key, []);
    const kept = haystacks.get(key);
    if (kept[post] === undefined) kept[post] = text(scope, post, contexts).toLowerCase();
    return kept[post];
  }

  function text(scope, post, contexts) {
    const words = columns.words[post].join(" ");
    if (scope === "post") return words;
    const read = contexts.flatMap((context) => (segments(context, post) || []).filter(([kind]) => kind !== null).map(([, words]) => words));
    const texts = [...columns.texts[post].flat(), ...read].join("\n");
    return scope === "texts" ? texts : `${words}\n${texts}`;
  }

  return {
    columns, places, loadPosts, named, side, loadSide, record, entities, goldEntities, missed, isRight, hasError, sameEntities,
    surface, chunkOf, segments, haystack,
    forget: () => haystacks.clear(),
    about: () => about,
    count: () => columns.id.length,
    RIGHT, MISSED, INVENTED,
  };
})();
