// Classifies with the client that openapi-generator writes in TypeScript: typescript_fetch.ts URL FILE OTHER.

import { Configuration, ImagesApi, ModelApi, ResponseError, type SingleClassified } from "./resnetd_client/index.ts";

declare const Deno: { args: string[]; readFile(path: string): Promise<Uint8Array<ArrayBuffer>> };

const [url, ...paths] = Deno.args;
const configuration = new Configuration({ basePath: url });
const images = new ImagesApi(configuration);
const read = async (path: string) => new Blob([await Deno.readFile(path)]);

for (const path of paths) {
  const answer = await images.classify({ body: await read(path), topK: 2 }) as SingleClassified;
  console.log(answer.predictions[0].label);
}

try {
  await images.classify({ body: new Blob(["text"]) });
  throw new Error("text was classified");
} catch (error) {
  if (!(error instanceof ResponseError) || error.response.status !== 400) throw error;
}

const { versions } = await new ModelApi(configuration).models();
const named = await images.classifyByModel({ model: versions[0].name, body: await read(paths[0]) }) as SingleClassified;
if (named.predictions.length !== 5) throw new Error(JSON.stringify(named));
