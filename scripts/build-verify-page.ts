import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { rolldown } from 'rolldown'

/**
 * The page with which an auditor verifies files, as one file that needs no other. Its code is not minified: who has to trust it
 * can read it. The same sources give the same bytes. Returns their SHA-256, in hexadecimal.
 */
export async function buildVerifyPage(
  root: string,
  file: string,
  { version, licenses }: { version: string; licenses: string },
): Promise<string> {
  const template = await readFile(join(root, 'client', 'verify-page', 'page.html'), 'utf8')
  const code = await bundle(root)
  // What a parser of HTML would take for the end of the script.
  if (/<\/script|<!--/i.test(code)) throw new Error('The code of the page cannot stand in HTML.')
  const withoutPolicy = fill(template, { VERSION: version, LICENSES: escapeHtml(licenses), SCRIPT: `\n${code}` })
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(withoutPolicy, 'script')}`,
    `style-src ${hashOf(withoutPolicy, 'style')}`,
    "connect-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ')
  // The first is that of the template: no other may change, or the hashes would be of another text.
  const page = withoutPolicy.replace('%POLICY%', policy)
  await writeFile(file, page)
  return createHash('sha256').update(page).digest('hex')
}

async function bundle(root: string): Promise<string> {
  const build = await rolldown({
    input: join(root, 'client', 'verify-page', 'main.ts'),
    platform: 'browser',
    cwd: root,
    logLevel: 'silent',
  })
  const { output } = await build.generate({ format: 'iife', codeSplitting: false })
  await build.close()
  const [chunk, ...others] = output
  if (others.length > 0 || chunk.imports.length > 0) throw new Error('The page does not hold all of its code.')
  return chunk.code
}

/** In one pass: nothing that was put in is looked at again. */
function fill(text: string, values: Record<string, string>): string {
  return text.replace(/%([A-Z]+)%/g, (written, name: string) => values[name] ?? written)
}

/** As a policy names what is inside of the one element `tag` of the page. */
function hashOf(page: string, tag: string): string {
  const [, inside] = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(page) ?? []
  if (inside === undefined) throw new Error(`The page has no ${tag}.`)
  return `'sha256-${createHash('sha256').update(inside).digest('base64')}'`
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
