import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { Json } from '../../protocol/encoding.ts'
import type { OpenApiDocument } from '../../server/openapi.ts'
import type { GeneratedRequest, Operation } from './api-requests.ts'

/** Whether the document allows a request: its parameters and its body, not who sends it. */
export type IsDescribed = (operation: Operation, request: GeneratedRequest) => boolean

export function createIsDescribed(document: OpenApiDocument): IsDescribed {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false })
  addFormats.default(ajv)
  ajv.addVocabulary(['components', 'openapi', 'info', 'servers', 'tags', 'paths'])
  ajv.addSchema(document, 'api')
  const takes = (pointer: string, value: unknown) => ajv.getSchema(`api#${pointer}`)?.(value) === true

  return ({ pointer, parameters, body }, { named, query, text }) => {
    const areGood = parameters.every(({ name, in: place, required, schema }, index) => {
      const sent =
        place === 'path' ? [named[name] ?? ''] : query.flatMap(([key, value]) => (key === name ? [value] : []))
      if (sent.length === 0) return !required
      const at = `${pointer}/parameters/${index}/schema`
      return sent.length === 1 && takes(at, schema.type === 'integer' ? toNumber(sent[0] ?? '') : sent[0])
    })
    const content = `${pointer}/requestBody/content/application~1json/schema`
    return areGood && (body === undefined || (text !== undefined && takes(content, parse(text))))
  }
}

function toNumber(text: string): number | string {
  return /^-?[0-9]+$/.test(text) ? Number(text) : text
}

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}
