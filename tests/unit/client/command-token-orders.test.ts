import { describe, expect, it } from 'vitest'
import { parseTokenOrders } from '../../../client/command/token-orders.ts'

const csv = (text: string) => parseTokenOrders('fleet.csv', text, 'device')
const jsonl = (text: string) => parseTokenOrders('fleet.jsonl', text, 'coordinator')

describe('a CSV of tokens to make', () => {
  it('is read as RFC 4180 has it, whatever system wrote it', () => {
    const text = '\ufeffkind,name,capabilities,type\r\n,"a ""big"", one",npu;gpu,camera\r\n\r\ncoordinator,hub,,\r\n'
    expect(csv(text)).toEqual([
      { kind: 'device', name: 'a "big", one', type: 'camera', capabilities: ['gpu', 'npu'] },
      { kind: 'coordinator', name: 'hub', type: undefined, capabilities: undefined },
    ])
  })

  it('may leave columns and the last line end out', () => {
    expect(csv('name\nedge-1\nedge-2').map(({ name }) => name)).toEqual(['edge-1', 'edge-2'])
  })

  it.each([
    ['no header', 'edge-1\nedge-2\n', /line 1 names the columns/],
    ['a column that there is not', 'name,policy\na,b\n', /line 1 names the columns/],
    ['a column twice', 'name,name\na,b\n', /line 1 names the columns/],
    ['a field too many', 'name,type\na,b\nc,d,e\n', /line 3 has 3 fields, the header has 2/],
    ['a quote that stands alone', 'name\n"a\nb\n', /line 2 is not CSV/],
    ['a quote inside', 'name\na"b\n', /line 2 is not CSV/],
    ['a type that is none', 'name,type\na,ok\nb,Not OK\n', /line 3 has a type/],
    ['a kind that is none', 'kind\nserver\n', /line 2 has a kind/],
    ['a capability twice', 'capabilities\ngpu;gpu\n', /line 2 has capabilities/],
    ['a name with a control character', 'name\na\u0007\n', /line 2 has a name/],
    ['a name twice', 'name,type\na,x\nb,x\n\na,y\n', /line 5 has the name of line 2/],
    ['no tokens', 'name\n', /asks for no tokens/],
    ['nothing at all', '', /names the columns/],
  ])('is refused with %s, by its line', (_what, text, message) => {
    expect(() => csv(text)).toThrow(message)
  })

  it('counts lines of the file, also behind a field of several lines', () => {
    expect(() => csv('name,type\n"a",x\nb,"two\nlines"\n')).toThrow(/line 3 has a type/)
    expect(() => csv('type,name\n\n\nx,b\nX,c\n')).toThrow(/line 5 has a type/)
  })
})

describe('JSON lines of tokens to make', () => {
  it('are objects, one a line', () => {
    expect(jsonl('{"name":"a","capabilities":["gpu"]}\n\n{"kind":"device"}\n')).toEqual([
      { kind: 'coordinator', name: 'a', type: undefined, capabilities: ['gpu'] },
      { kind: 'device', name: undefined, type: undefined, capabilities: undefined },
    ])
  })

  it.each([
    ['half an object', '{}\n{"name":', /line 2 is no JSON object/],
    ['an array', '[]\n', /line 1 is no JSON object/],
    ['null', 'null\n', /line 1 is no JSON object/],
    ['a member that there is not', '{"policyId":"none"}\n', /line 1 has more than/],
    ['__proto__', '{"__proto__":{"kind":"device"}}\n', /line 1 has more than/],
    ['a name that is a number', '{"name":1}\n', /line 1 has a name/],
    ['capabilities that are a number', '{"capabilities":7}\n', /line 1 has capabilities/],
  ])('are refused with %s', (_what, text, message) => {
    expect(() => jsonl(text)).toThrow(message)
  })
})
