// Opens a link in Chromium: with a click on it, and, where that brings no file, by its address. Takes {executable, url, file} from standard input and prints what came.
const { chromium } = require("playwright-core");

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

async function main({ executable, url, file }) {
  const browser = await chromium.launch({ executablePath: executable, args: FLAGS });
  try {
    const page = await browser.newPage({ acceptDownloads: true });
    await page.setContent(`<a href="${url.replaceAll("&", "&amp;")}">the file</a>`);
    const answered = page.waitForResponse((response) => response.url() === url, { timeout: 30_000 });
    const saved = page.waitForEvent("download", { timeout: 30_000 }).catch(() => null);
    await page.click("a");
    const response = await answered;
    if (response.status() !== 200) {
      return { status: response.status(), type: response.headers()["content-type"] };
    }
    const download = await saved;
    await download.saveAs(file);
    return { status: 200, type: response.headers()["content-type"], name: download.suggestedFilename(), failure: await download.failure() };
  } finally {
    await browser.close();
  }
}

let text = "";
process.stdin.on("data", (chunk) => (text += chunk));
process.stdin.on("end", () => main(JSON.parse(text)).then((answer) => console.log(JSON.stringify(answer))));
