// The request of an answer as a command or a program. `request` is { url, name, needsKey }.

export const LANGUAGES = { curl, Python: python, JavaScript: javascript };

function curl({ url, name, needsKey }) {
  const key = needsKey ? ` \\\n  -H "Authorization: Bearer $RESNETD_API_KEY"` : "";
  return `curl --data-binary ${shell(`@${name}`)}${key} \\\n  ${shell(url)}`;
}

function python({ url, name, needsKey }) {
  const key = needsKey ? `headers = {"Authorization": f"Bearer {os.environ['RESNETD_API_KEY']}"}\n` : "";
  return `${needsKey ? "import os\n\n" : ""}import requests

${key}with open(${JSON.stringify(name)}, "rb") as file:
    response = requests.post(
        ${JSON.stringify(url)},
        data=file.read(),${needsKey ? "\n        headers=headers," : ""}
        timeout=30,
    )
response.raise_for_status()
for prediction in response.json()["predictions"]:
    print(prediction["label"], prediction["probability"])
`;
}

function javascript({ url, name, needsKey }) {
  const key = needsKey ? "\n  headers: { authorization: `Bearer ${process.env.RESNETD_API_KEY}` }," : "";
  return `import { readFile } from "node:fs/promises";

const response = await fetch(${JSON.stringify(url)}, {
  method: "POST",${key}
  body: await readFile(${JSON.stringify(name)}),
});
if (!response.ok) throw new Error((await response.json()).detail);
for (const { label, probability } of (await response.json()).predictions) {
  console.log(label, probability);
}
`;
}

const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
