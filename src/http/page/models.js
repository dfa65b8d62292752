// The models of the server, and the one or two of them that answer.

import { send } from "./key.js";

const DEFAULT = { key: "", prefix: "", about: "/v1/model" };

let offered = []; // every model that can be chosen: { key, prefix, about, title, isReady }

// Resolves with the models that answer, each with its `description` where the server gives it.
let first;
let described = new Promise((resolve) => { first = resolve; });
export const chosenModels = () => described;

// Asks for the models, and shows the choice where there are several. `changed` is called with the models that
// answer whenever they are others than before.
export async function offerModels(byId, changed) {
  const list = await json("/v1/models");
  if (list) offered = modelsOf(list);
  byId("models").hidden = offered.length < 2;
  const query = new URLSearchParams(location.search);
  const one = found(query.get("model")) ?? found(list?.default) ?? offered[0] ?? DEFAULT;
  const other = found(query.get("compare"));
  show(byId, one, other);
  for (const select of [byId("model"), byId("compare")]) {
    select.onchange = () => {
      const both = [found(byId("model").value), found(byId("compare").value)];
      show(byId, ...both);
      remember(byId);
      choose(both, changed);
    };
  }
  await choose([one, other], changed);
}

// One entry for each model, and one for each version of a model with several.
function modelsOf({ models, versions }) {
  if (models.length === 1 && versions.length === 1) return [{ ...DEFAULT, key: models[0] }];
  return models.flatMap((name) => {
    const own = versions.filter((version) => version.name === name);
    const each = own.length > 1 ? own.map((version) => entry(name, version.version, [version])) : [];
    return [entry(name, undefined, own), ...each];
  });
}

function entry(name, version, versions) {
  const key = version === undefined ? name : `${name}/versions/${version}`;
  const prefix = `/v1/models/${key.split("/").map(encodeURIComponent).join("/")}`;
  const isReady = versions.some(({ state }) => state === "ready");
  const title = version === undefined ? name : `${name}, version ${version}`;
  return { key, prefix, about: prefix, title, isReady };
}

const found = (key) => offered.find((model) => model.key === key);

// Fills both lists; a model is not compared with itself.
function show(byId, one, other) {
  const options = (models) => models.map(({ key, title, isReady }) => new Option(isReady ? title : `${title} (not loaded)`, key));
  byId("model").replaceChildren(...options(offered));
  byId("model").value = one.key;
  const others = offered.filter((model) => model !== one);
  byId("compare").replaceChildren(new Option("no other model", ""), ...options(others));
  byId("compare").value = others.includes(other) ? other.key : "";
}

async function choose([one, other], changed) {
  const chosen = other && other !== one ? [one, other] : [one];
  const now = Promise.all(chosen.map(async (model) => ({ ...model, description: await json(model.about) })));
  described = now;
  const models = await now;
  first(models);
  if (described === now) changed(models);
}

// The choice is in the address, so that it stays when the page is loaded again, and can be passed on.
function remember(byId) {
  const query = new URLSearchParams();
  query.set("model", byId("model").value);
  if (byId("compare").value) query.set("compare", byId("compare").value);
  history.replaceState(null, "", `?${query}`);
}

async function json(path) {
  try {
    const answer = await send(path);
    return answer.ok ? await answer.json() : undefined;
  } catch {
    return undefined; // the page works without it
  }
}
