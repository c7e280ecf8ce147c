// A page that is served asks for what has come since, until the run or sweep has ended.

/**
 * @param {{address: string, every: number} | null} source
 * @param {{data: Data, extend: (more: Data) => Promise<void>, since: () => string}} page
 */
async function live(source, page) {
  if (!source || page.data.header.ended) return;
  const says = element("p", { class: "live", role: "status" }, "live");
  document.body.prepend(says);
  for (;;) {
    await new Promise((go) => setTimeout(go, source.every));
    let content;
    try {
      const answer = await fetch(`${source.address}${page.since()}`);
      if (answer.status === 204) continue;
      if (!answer.ok) throw new Error(await answer.text());
      content = await answer.json();
    } catch (error) {
      says.textContent = `no answer: ${error instanceof Error ? error.message : error}`;
      continue;
    }
    says.textContent = "live";
    await page.extend(new Data(content.header, (number) => content.blocks[number]));
    if (content.header.ended) break;
  }
  says.textContent = "training has ended; this page no longer updates";
}
