import { statSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { slowFiles } from '../slow-files.ts'
import { anchors, codeSpans, relativeLinks } from './markdown.ts'
import { listFiles, readText, root } from './repository.ts'

const MAX_LINES = 300

const rootFiles = new Set([
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
  'LICENSE',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'biome.json',
  'vitest.config.ts',
  'config.example.env',
  'docker-compose.yml',
  'main.ts',
])

const files = listFiles()
const folders = new Set(files.flatMap(parents))
const code = files.filter((path) => /\.[cm]?[jt]s$/.test(path))
const typescript = code.filter((path) => path.endsWith('.ts'))
const documents = files.filter((path) => path.endsWith('.md'))

describe('files', () => {
  it('are seen at all', () => {
    expect(files).toContain('package.json')
    expect(typescript.length).toBeGreaterThan(0)
  })

  it('that are named as slow tests are there, each once', () => {
    expect(slowFiles.filter((path) => !files.includes(path))).toEqual([])
    expect(new Set(slowFiles).size).toBe(slowFiles.length)
  })

  it(`of TypeScript have at most ${MAX_LINES} lines`, () => {
    const long = typescript
      .map((path) => ({ path, lines: readText(path).trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > MAX_LINES)
    expect(long).toEqual([])
  })

  it('of code, and their folders, have kebab-case names', () => {
    const words = '[a-z0-9]+(-[a-z0-9]+)*'
    const fileName = new RegExp(`^${words}(\\.(test|config|d))?\\.[cm]?[jt]s$`)
    const folderName = new RegExp(`^\\.?${words}$`)
    const badFiles = code.filter((path) => !fileName.test(basename(path)))
    const badFolders = [...new Set(code.flatMap(parents))].filter((path) => !folderName.test(basename(path)))
    expect([...badFiles, ...badFolders]).toEqual([])
  })

  it('in the root are only those of the house', () => {
    const strangers = files.filter((path) => !path.includes('/') && !path.startsWith('.') && !rootFiles.has(path))
    expect(strangers).toEqual([])
  })

  it('do not merely keep an empty folder alive', () => {
    const empty = [...folders].filter((folder) =>
      files.every((path) => !path.startsWith(`${folder}/`) || statSync(join(root, path)).size === 0),
    )
    expect(empty).toEqual([])
  })

  it('are no barrels and no drawers for everything', () => {
    const drawers = code.filter((path) => /^(index|utils?|helpers?|common|misc)\.[cm]?[jt]s$/.test(basename(path)))
    expect(drawers).toEqual([])
  })
})

describe('code', () => {
  it('leaves no test out, except by a visible skipIf', () => {
    expect(matches(within('tests'), /\.(only|skip|todo)\s*[(.`]/)).toEqual([])
  })

  it('does not silence the compiler', () => {
    const ignored = matches(typescript, /(\/\/|\/\*)\s*@ts-(ignore|nocheck)\b/)
    const anything = matches(typescript, /(?:\bas|<)\s*any\b\s*(?:[>)\]};,.[]|$)/, withoutComments)
    expect([...ignored, ...anything]).toEqual([])
  })

  it('silences the linter only for one named rule with a reason, and never for a boundary', () => {
    const directives = matches(code, /(\/\/|\/\*)\s*(oxlint|eslint)-disable/)
    const allowed = /-disable(-next-line|-line)?\s+[\w/-]+ -- \S/
    const refused = directives.filter((line) => !allowed.test(line) || line.includes('no-restricted-'))
    expect(refused).toEqual([])
  })

  it('in protocol/ reads no clock', () => {
    expect(matches(within('protocol'), /\bDate\(\)|\bnew Date\b(?!\()/, withoutComments)).toEqual([])
  })
})

describe('documents', () => {
  it('link to files that exist', () => {
    const broken = links()
      .filter(({ target }) => !isPresent(target))
      .map(({ document, written }) => `${document}: ${written}`)
    expect(broken).toEqual([])
  })

  it('link to headings that exist', () => {
    const broken = links()
      .filter(({ target, anchor }) => anchor !== undefined && target.endsWith('.md') && isPresent(target))
      .filter(({ target, anchor }) => !anchors(target).has(anchor as string))
      .map(({ document, written, anchor }) => `${document}: ${written}#${anchor}`)
    expect(broken).toEqual([])
  })

  it.each(['ARCHITECTURE.md', 'docs/threat-model.md', 'docs/asvs.md'])('%s names only files that exist', (path) => {
    const gone = codeSpans(path)
      .filter(isPath)
      .filter((named) => !isPresent(normalize(named.replace(/:\d+$/, ''))))
    expect(gone).toEqual([])
  })
})

function within(folder: string): string[] {
  return code.filter((path) => path.startsWith(`${folder}/`))
}

function parents(path: string): string[] {
  const folder = dirname(path)
  return folder === '.' ? [] : [folder, ...parents(folder)]
}

/** `path:line: text` of every line that matches. */
function matches(paths: string[], pattern: RegExp, prepare = (text: string) => text): string[] {
  return paths.flatMap((path) =>
    prepare(readText(path))
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? `${path}:${index + 1}: ${line.trim()}` : [])),
  )
}

/** Good enough to keep prose out of a search: the `//` of an address in a string ends the line too. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, '')).replace(/\/\/.*$/gm, '')
}

function links(): { document: string; written: string; target: string; anchor: string | undefined }[] {
  return documents.flatMap((document) =>
    relativeLinks(document).map(({ path, anchor }) => ({
      document,
      written: path,
      target: path === '' ? document : normalize(join(dirname(document), path)),
      anchor,
    })),
  )
}

function isPresent(path: string): boolean {
  const name = path.replace(/\/$/, '')
  return name === '.' || files.includes(name) || folders.has(name)
}

/** A path of this repository: not a route (`/v1/…`), a package, a media type, or a pattern with a placeholder. */
function isPath(span: string): boolean {
  if (!/^[\w.][\w./-]*(:\d+)?$/.test(span) || !span.includes('/')) return false
  const top = span.slice(0, span.indexOf('/'))
  return folders.has(top) || top === '.' || span.endsWith('/') || /\.\w{1,5}(:\d+)?$/.test(span)
}
