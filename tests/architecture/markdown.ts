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
