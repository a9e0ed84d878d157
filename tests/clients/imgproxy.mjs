// URLs as @imgproxy/imgproxy-js-core makes them: one a line, with the options that it was asked for.
// Usage: node imgproxy.mjs HASH (IMGPROXY_KEY and IMGPROXY_SALT in the environment, in hexadecimal digits)
import { createHmac } from "node:crypto";
import { generateUrl } from "@imgproxy/imgproxy-js-core";

const [hash] = process.argv.slice(2);
const [key, salt] = [process.env.IMGPROXY_KEY, process.env.IMGPROXY_SALT].map((hex) => Buffer.from(hex, "hex"));
const asked = [
  { width: 300 },
  { width: 300, height: 200, resizing_type: "fill", gravity: { type: "sm" } },
  { resize: { resizing_type: "fill-down", width: 120, height: 90, enlarge: 1 }, format: "png" },
  { size: { width: 200, height: 100 }, quality: 60, dpr: 2, format: "webp" },
  { width: 80, height: 80, resizing_type: "force", format: "avif" },
  { width: 90, background: { r: 255, g: 0, b: 0 }, blur: 2, cache_buster: "v7", format: "jpg" },
  { width: 90, gravity: { type: "fp", x: 0.25, y: 0.75 }, resizing_type: "auto", expires: 4102444800 },
];
for (const source of [{ value: hash, type: "plain" }, { value: Buffer.from(hash).toString("base64url"), type: "base64" }]) {
  for (const options of asked) {
    const path = generateUrl(source, options);
    const signature = createHmac("sha256", key).update(salt).update(path).digest("base64url");
    console.log(`/i/${signature}${path}`);
  }
}
