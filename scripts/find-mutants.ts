import { parseAst } from 'rolldown/parseAst'

/** A file with one thing taken out of it or turned round. */
export interface Mutant {
  /** Counted from 1. */
  line: number
  what: string
  text: string
}

interface Node {
  type: string
  start: number
  end: number
  [member: string]: unknown
}

interface Edit {
  at: Node
  what: string
  by: string
}

const opposites = new Map([
  ['===', '!=='],
  ['!==', '==='],
])
const boundaries = new Map([
  ['<', '<='],
  ['<=', '<'],
  ['>', '>='],
  ['>=', '>'],
])
const quantifiers = new Map([
  ['every', 'some'],
  ['some', 'every'],
])

/**
 * Each guard taken away, each condition turned round, each operand of `&&` and `||` dropped, each bound moved by one: one at a time.
 * Types are not looked at.
 */
export function findMutants(path: string, text: string): Mutant[] {
  const program = parseAst(text, { lang: 'ts' }, path) as unknown as Node
  const edits: Edit[] = []
  walk(program, undefined, (node, parent) => edits.push(...editsOf(node, parent, text)))
  return edits.map(({ at, what, by }) => {
    const line = text.slice(0, at.start).split('\n').length
    return { line, what, text: text.slice(0, at.start) + by + text.slice(at.end) }
  })
}

function walk(node: Node, parent: Node | undefined, visit: (node: Node, parent: Node | undefined) => void): void {
  visit(node, parent)
  for (const member of Object.values(node).flat()) if (isNode(member)) walk(member, node, visit)
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value && 'end' in value
}

function editsOf(node: Node, parent: Node | undefined, text: string): Edit[] {
  const source = (one: Node) => text.slice(one.start, one.end)
  const briefly = (one: Node) => source(one).replace(/\s+/g, ' ').slice(0, 80)
  switch (node.type) {
    case 'IfStatement': {
      const test = node.test as Node
      if (isThrowing(node.consequent as Node)) return [{ at: test, what: `no guard: ${briefly(test)}`, by: 'false' }]
      return [{ at: test, what: `turned round: ${briefly(test)}`, by: `!(${source(test)})` }]
    }
    case 'ConditionalExpression': {
      const test = node.test as Node
      return [{ at: test, what: `turned round: ${briefly(test)}`, by: `!(${source(test)})` }]
    }
    case 'ThrowStatement':
      return parent?.type === 'SwitchCase' ? [{ at: node, what: `no guard: ${briefly(node)}`, by: ';' }] : []
    case 'ExpressionStatement':
      return (node.expression as Node).type === 'CallExpression'
        ? [{ at: node, what: `no call: ${briefly(node)}`, by: ';' }]
        : []
    case 'LogicalExpression': {
      if (node.operator === '??') return []
      const [left, right] = [node.left as Node, node.right as Node]
      return [
        { at: node, what: `dropped: ${briefly(left)}`, by: source(right) },
        { at: node, what: `dropped: ${briefly(right)}`, by: source(left) },
      ]
    }
    case 'UnaryExpression':
      return node.operator === '!'
        ? [{ at: node, what: `turned round: ${briefly(node)}`, by: source(node.argument as Node) }]
        : []
    case 'BinaryExpression': {
      const operator = String(node.operator)
      const other = opposites.get(operator) ?? boundaries.get(operator)
      // Of a guard that was taken away already.
      if (other === undefined || (parent?.type === 'IfStatement' && opposites.has(operator))) return []
      const by = `${source(node.left as Node)} ${other} ${source(node.right as Node)}`
      return [{ at: node, what: `${operator} to ${other}: ${briefly(node)}`, by }]
    }
    case 'MemberExpression': {
      const property = node.property as Node
      const name = source(property)
      const other = quantifiers.get(name)
      return other === undefined
        ? []
        : [{ at: property, what: `${name} to ${other}: ${briefly(parent ?? node)}`, by: other }]
    }
    default:
      return []
  }
}

/** Whether it does nothing but throw. */
function isThrowing(node: Node): boolean {
  const statements = node.type === 'BlockStatement' ? (node.body as Node[]) : [node]
  return statements.length === 1 && statements[0]?.type === 'ThrowStatement'
}
