"use strict";
// Which posts match what is asked for.
ita.filters = (() => {
  const model = ita.model;

  // Pairs of numbers of seeds that are compared: those shown, or all seeds that both systems have.
  function pairsOf(a, b, mode) {
    const shown = [[a ? a.at : -1, b ? b.at : -1]];
    if (!mode || !a || !b) return shown;
    const pairs = a.run.seeds.map((seed, number) => [number, b.run.seeds.indexOf(seed)]).filter(([, other]) => other >= 0);
    return pairs.length ? pairs : shown;
  }

  const disagree = (side, post) => {
    const first = model.record(side, post, 0);
    return first !== undefined && side.run.seeds.some((_, at) => !model.sameEntities(first, model.record(side, post, at)));
  };

  function outcomeHolds(outcome, one, two, post) {
    if (one === undefined || two === undefined) return false;
    if (outcome === "differ") return !model.sameEntities(one, two);
    const rightA = model.isRight(one, post), rightB = model.isRight(two, post);
    if (outcome === "helped") return !rightA && rightB;
    if (outcome === "misled") return rightA && !rightB;
    return outcome === "right" ? rightA && rightB : !rightA && !rightB;
  }

  function comparison(asked, a, b) {
    const { outcome, error, of, seeds } = asked;
    if (outcome === "seeds-a" || outcome === "seeds-b") {
      const side = outcome === "seeds-a" ? a : b;
      const rest = error ? comparison({ ...asked, outcome: "" }, a, b) : () => true;
      return (post) => Boolean(side) && disagree(side, post) && rest(post);
    }
    if (!outcome && !error) return () => true;
    const pairs = pairsOf(a, b, seeds);
    const needed = { any: 1, most: Math.floor(pairs.length / 2) + 1, all: pairs.length }[seeds] || 1;
    const kind = model.about().errors.indexOf(error);
    const type = asked.type ? model.about().types.indexOf(asked.type) : -1;
    const wrong = (numbers, post) => numbers !== undefined && model.hasError(numbers, post, kind, type);
    return (post) => {
      let holding = 0;
      for (const [atA, atB] of pairs) {
        const one = a && model.record(a, post, atA), two = b && model.record(b, post, atB);
        const wanted = !error || (of !== "b" && wrong(one, post)) || (of !== "a" && wrong(two, post));
        if (wanted && (!outcome || outcomeHolds(outcome, one, two, post))) holding += 1;
      }
      return holding >= needed;
    };
  }

  // Entities: of a type, seen in training or not; without "seen" what a system named counts, too.
  function entityTest({ type, seen, error }, a, b) {
    if (!seen && (!type || error)) return () => true;
    const wanted = type ? model.about().types.indexOf(type) : -1;
    const named = (entity) => wanted < 0 || entity.type === wanted;
    if (seen) {
      return (post) => model.goldEntities(post).some((entity) => named(entity) && entity.seen === (seen === "seen"));
    }
    return (post) => model.goldEntities(post).some(named)
      || [a, b].some((side) => side && model.entities(model.record(side, post) || [], []).some(named));
  }

  function searchTest(asked, a, b) {
    const words = asked.q.trim().toLowerCase();
    if (!words) return () => true;
    if (asked.in === "entities") {
      return (post) => [model.goldEntities(post), ...[a, b].map((side) => model.entities((side && model.record(side, post)) || [], []))]
        .some((entities) => entities.some((entity) => model.surface(post, entity).toLowerCase().includes(words)));
    }
    const contexts = contextsOf(a, b);
    return (post) => model.haystack(asked.in, post, contexts).includes(words);
  }

  const contextsOf = (a, b) => [...new Set([a, b].filter((side) => side && side.system.context >= 0)
    .map((side) => side.system.context))];

  function matching(asked, a, b) {
    const { split, status } = model.columns;
    const pictured = (post) => !asked.picture || (status[post] === "ok") === (asked.picture === "yes");
    const tests = [entityTest(asked, a, b), comparison(asked, a, b), searchTest(asked, a, b)];
    const posts = [];
    for (let post = 0; post < model.count(); post += 1) {
      if (asked.split && split[post] !== asked.split) continue;
      if (pictured(post) && tests.every((test) => test(post))) posts.push(post);
    }
    return posts;
  }

  return { matching, contextsOf };
})();
