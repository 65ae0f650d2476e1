import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DEPTH_MAX, FIELDS_MAX, outlineOf } from '../../adapters/http/body.ts'

/** What is found in the text of a request before it is read. */

test('the head is the same with nothing as the body, whatever stands in either, and however it is spaced', () => {
  const key = fc.oneof(fc.constantFrom('body', 'from', '"body":', 'a,b', '\\'), fc.string())
  const object = fc.dictionary(key, fc.jsonValue({ maxDepth: 5 }), { noNullPrototype: true })
  fc.assert(
    fc.property(object, fc.jsonValue(), fc.constantFrom(0, 2), (said, body, space) => {
      const { flaw, head } = outlineOf(JSON.stringify({ ...said, body }, null, space))
      expect(flaw).toBeUndefined()
      expect(JSON.parse(head)).toEqual(JSON.parse(JSON.stringify({ ...said, body: null })))
    }),
  )
})

test('a body that is there twice is in no head', () => {
  expect(outlineOf('{"body":[1],"id":"x","body":{"body":2}}').head).toBe('{"body":null,"id":"x","body":null}')
})

test('text that is no JSON has a head that is none, either', () => {
  for (const text of ['', '{', '}}', '{"body":', '{"body":1', '{"id":"', '["body":1,2]', '{"a":!,"body":1}'])
    expect(() => JSON.parse(outlineOf(text).head) as unknown, text).toThrow(SyntaxError)
})

test('what is too deep or has too many fields is told without reading on', () => {
  const fields = (count: number): string =>
    Array.from({ length: count }, (_, i) => `"k${i}":{"a":1,"b":2}`).join()
  expect(outlineOf(`{${fields(FIELDS_MAX)}}`).flaw).toBeUndefined()
  expect(outlineOf(`{${fields(FIELDS_MAX + 1)} and no JSON`).flaw).toBe('the body has too many fields')
  expect(outlineOf(`${'['.repeat(DEPTH_MAX)}${']'.repeat(DEPTH_MAX)}`).flaw).toBeUndefined()
  expect(outlineOf('['.repeat(DEPTH_MAX + 1)).flaw).toBe('the body is too deep')
})
