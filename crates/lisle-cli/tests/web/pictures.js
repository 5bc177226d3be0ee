// The pictures of the documentation, one of each view: `ci/test-web.sh --pictures`.

import path from "node:path";
import { browser, open, play } from "./support.js";

const folder = process.argv[2];
const program = await play();
const chromium = await browser();

/** Opens a view in these colours, has the program do that, and waits until so many snapshots were shown. */
async function picture(view, colorScheme, scene, snapshots, prepare = () => {}) {
  await program.scene("bank");
  const { page, complaints } = await open(chromium.context, program.url, { view, colorScheme });
  await page.setViewportSize({ width: 1200, height: 720 });
  await page.locator("#live[data-is=live]").waitFor();
  const enough = (await program.asked()) + snapshots;
  while ((await program.asked()) < enough);
  await program.scene(scene);
  if (scene !== "bank") await page.locator("#alarm:visible").waitFor();
  const more = (await program.asked()) + 8;
  while ((await program.asked()) < more);
  await prepare(page);
  await page.screenshot({ path: path.join(folder, `web-${view}.png`) });
  if (complaints.length > 0) throw new Error(complaints.join("\n"));
  await page.close();
}

await picture("threads", "light", "deadlock", 4, async (page) => {
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
});
await picture("graph", "dark", "three", 4);
await picture("contention", "light", "bank", 12);
await picture("timeline", "dark", "deadlock", 50, async (page) => {
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
});
await picture("reports", "light", "deadlock", 4);
await chromium.close();
await program.end();
