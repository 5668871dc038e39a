// Draws a labelled set of cartoon faces: Lisa Wischofsky's avatar style "Adventurer" (CC BY 4.0), as DiceBear packs it.
//
//     npm install @dicebear/core@9.4.3 @dicebear/adventurer@9.4.3 @resvg/resvg-js@2.6.2
//     node benchmarks/anime.mjs --out anime -n 10000
//
// writes anime/images/00000.png ... (64 x 64 pixels) and anime/labels.csv, whose labels are the options that the picture was drawn
// with, so that they are right by construction. The same seed gives the same pictures. The packages are looked for from the
// folder that this is run in; none of their art is kept in this repository.

import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const require = createRequire(resolve("package.json"));
const load = async (name) => import(pathToFileURL(require.resolve(name)));

// The part of the style's 762 x 762 canvas that is drawn: the head fills three quarters of the picture.
const FRAME = "90 70 600 600";
const BACKGROUNDS = ["b6e3f4", "c0aede", "d1d4f9", "ffd5dc", "ffdfbf"];

// The style's own colours, those of one name together.
const HAIR_COLOURS = {
  Black_Hair: ["0e0e0e"],
  Brown_Hair: ["6a4e35", "562306"],
  Blond_Hair: ["e5d7a3"],
  Red_Hair: ["ab2a18"],
  Blue_Hair: ["85c2c6"],
  Pink_Hair: ["dba3be"],
};
const SKIN = { light: ["f2d3b1", "ecad80"], dark: ["9e5622", "763900"] };

// Left out is what would hide a label: hair over the eyes, shaved heads (of what colour?), winks and small round mouths. Earrings are
// two pixels wide at this size.
const HAIR = {
  short: ["01", "02", "03", "04", "05", "07", "08", "09", "10", "11", "14", "15", "16", "17", "18"].map((n) => `short${n}`),
  long: ["01", "04", "05", "07", "09", "14", "16", "17", "19", "21"].map((n) => `long${n}`),
  flowers: ["03", "08", "18"].map((n) => `long${n}`),
};
const EYES = { open: ["01", "02", "03", "09", "10", "23", "24", "25", "26"], closed: ["19", "20"] };
const GLASSES = { Eyeglasses: ["02", "04", "05"], Sunglasses: ["01"] };
// [smiling][open]
const MOUTHS = [
  [
    ["09", "10", "11", "19"],
    ["14", "15"],
  ],
  [
    ["02", "22", "23"],
    ["01", "05", "25", "26", "27", "28"],
  ],
];
const BROWS = ["03", "07", "08", "09", "10", "12", "13"];
const LABELS = [
  "Long_Hair",
  "Flowers",
  "Eyeglasses",
  "Sunglasses",
  "Eyes_Closed",
  "Smiling",
  "Mouth_Open",
  "Mustache",
  "Rosy_Cheeks",
  "Dark_Skin",
];

// mulberry32, so that a set can be drawn again anywhere.
function stream(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** What one picture shows: its labels, and the options of the style that draw them. */
function choose(random) {
  const chance = (share) => random() < share;
  const one = (list) => list[Math.floor(random() * list.length)];
  const long = chance(0.5);
  const flowers = long && chance(0.35);
  const colour = one(Object.keys(HAIR_COLOURS));
  const worn = one(["", "", "", "Eyeglasses", "Sunglasses"]);
  const closed = worn !== "Sunglasses" && chance(0.3);
  const smiling = chance(0.55);
  const open = chance(smiling ? 0.6 : 0.4);
  const feature = one(["", "", "mustache", "blush"]);
  const dark = chance(0.4);
  const labels = {
    Long_Hair: long,
    Flowers: flowers,
    Eyeglasses: worn === "Eyeglasses",
    Sunglasses: worn === "Sunglasses",
    Eyes_Closed: closed,
    Smiling: smiling,
    Mouth_Open: open,
    Mustache: feature === "mustache",
    Rosy_Cheeks: feature === "blush",
    Dark_Skin: dark,
  };
  const variant = (list) => [`variant${one(list)}`];
  const options = {
    hair: [one(flowers ? HAIR.flowers : long ? HAIR.long : HAIR.short)],
    hairColor: [one(HAIR_COLOURS[colour])],
    skinColor: [one(dark ? SKIN.dark : SKIN.light)],
    eyes: variant(closed ? EYES.closed : EYES.open),
    eyebrows: variant(BROWS),
    mouth: variant(MOUTHS[Number(smiling)][Number(open)]),
    glasses: variant(GLASSES[worn || "Eyeglasses"]),
    glassesProbability: worn ? 100 : 0,
    features: [feature || "blush"],
    featuresProbability: feature ? 100 : 0,
    earringsProbability: 0,
    backgroundColor: [one(BACKGROUNDS)],
  };
  return { colour, labels, options };
}

const { values } = parseArgs({
  options: {
    out: { type: "string" },
    count: { type: "string", short: "n", default: "10000" },
    seed: { type: "string", default: "0" },
    size: { type: "string", default: "64" },
  },
});
const [count, seed, size] = [values.count, values.seed, values.size].map(Number);
if (!values.out || ![count, seed, size].every(Number.isInteger) || count < 1 || size < 1) {
  console.error("usage: node benchmarks/anime.mjs --out FOLDER [-n 10000] [--seed 0] [--size 64]");
  process.exit(2);
}
const { createAvatar } = await load("@dicebear/core");
const style = await load("@dicebear/adventurer");
const { Resvg } = await load("@resvg/resvg-js");

const random = stream(seed);
const images = join(values.out, "images");
mkdirSync(images, { recursive: true });
const rows = [["file", "hair_colour", ...LABELS].join(",")];
for (let i = 0; i < count; i += 1) {
  const { colour, labels, options } = choose(random);
  const svg = createAvatar(style, options).toString().replace(/viewBox="[^"]*"/, `viewBox="${FRAME}"`);
  const name = `${String(i).padStart(5, "0")}.png`;
  writeFileSync(join(images, name), new Resvg(svg, { fitTo: { mode: "width", value: size } }).render().asPng());
  rows.push([name, colour, ...LABELS.map((label) => Number(labels[label]))].join(","));
}
writeFileSync(join(values.out, "labels.csv"), `${rows.join("\n")}\n`);
console.log(`${count} pictures and labels.csv in ${values.out}`);
