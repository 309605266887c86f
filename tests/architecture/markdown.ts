import { readText } from './repository.ts'

export interface Link {
  readonly path: string
  readonly anchor: string | undefined
}

/** The links and pictures of a document that are neither addresses nor inside code. Paths as written. */
export function relativeLinks(document: string): Link[] {
  const text = withoutCode(readText(document))
  const inline = [...text.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)]
  const definitions = [...text.matchAll(/^ {0,3}\[[^\]^]+\]:\s*<?([^\s>]+)>?/gm)]
  const attributes = [...text.matchAll(/<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)="([^"]+)"/g)]
  return [...inline, ...definitions, ...attributes]
    .map(([, target = '']) => target)
    .filter((target) => !/^([a-z][a-z0-9+.-]*:|\/\/)/i.test(target))
    .map((target) => {
      const [path = '', anchor] = target.split('#')
      return { path: decodeURIComponent(path), anchor }
    })
}

/** The anchors that GitHub gives the headings of a document, and those written by hand. */
export function anchors(document: string): Set<string> {
  const text = withoutFences(readText(document))
  const found = new Set([...text.matchAll(/<[a-z]+\b[^>]*?\b(?:id|name)="([^"]+)"/g)].map(([, name = '']) => name))
  const counts = new Map<string, number>()
  for (const [, heading = ''] of text.matchAll(/^ {0,3}#{1,6}\s+(.+?)\s*#*\s*$/gm)) {
    const slug = toSlug(heading)
    const count = counts.get(slug) ?? 0
    counts.set(slug, count + 1)
    found.add(count === 0 ? slug : `${slug}-${count}`)
  }
  return found
}

/** What stands in backticks, outside fenced blocks. */
export function codeSpans(document: string): string[] {
  return [...withoutFences(readText(document)).matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code)
}

function toSlug(heading: string): string {
  return heading
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/<[^>]+>/g, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
    .replaceAll(' ', '-')
}

function withoutCode(text: string): string {
  return withoutFences(text).replace(/(`+)(?!`)[\s\S]*?[^`]\1(?!`)/g, '')
}

function withoutFences(text: string): string {
  return text.replace(/^ {0,3}(```+|~~~+)[^\n]*\n[\s\S]*?(?:^ {0,3}\1[`~]*\s*$|(?![\s\S]))/gm, '')
}

export interface Table {
  /** The heading that stands before it. */
  readonly heading: string
  /** Without its head; cells as written. */
  readonly rows: string[][]
}

/** The tables of a document, in its order. */
export function tables(document: string): Table[] {
  const found: Table[] = []
  let heading = ''
  let lines: string[] = []
  for (const line of `${withoutFences(readText(document))}\n`.split('\n')) {
    if (line.startsWith('|')) lines.push(line)
    else if (lines.length > 0) {
      found.push({ heading, rows: lines.slice(2).map(cellsOf) })
      lines = []
    }
    heading = /^ {0,3}#{1,6}\s+(.+?)\s*#*\s*$/.exec(line)?.[1] ?? heading
  }
  return found
}

function cellsOf(line: string): string[] {
  const cells = line.replace(/^\|/, '').replace(/\|\s*$/, '')
  return cells.split(/(?<!\\)\|/).map((cell) => cell.trim())
}

/** Files of tests that a text names in backticks. */
export function namedTests(text: string): string[] {
  return [...text.matchAll(/`(tests\/[^`\s]+\.test\.ts)`/g)].map(([, path = '']) => path)
}
