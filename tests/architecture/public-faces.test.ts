import { expect, test } from 'vitest'
import { readText } from './repository.ts'

/** What an entry of the package gives to others: names, and where each comes from. */
function exportsOf(path: string): string[] {
  return [...readText(path).matchAll(/^export [\s\S]*? from '[^']+'$/gm)].map(([statement]) => statement)
}

test('the library is the same for Node and for a page, but for where a device is kept', () => {
  const [node, page] = [exportsOf('client/qflare.ts'), exportsOf('client/browser.ts')]
  expect(node.filter((line) => !page.includes(line))).toEqual(["export { createFileStore } from './file-store.ts'"])
  expect(page.filter((line) => !node.includes(line))).toEqual([
    "export { createIndexedDbStore } from './indexed-db-store.ts'",
  ])
})
