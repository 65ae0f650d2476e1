import { expect, test } from 'vitest'
import { gathered } from '../../adapters/exec/gathered.ts'

const inPieces = (bytes: Buffer, size: number): string => {
  const found = gathered()
  for (let at = 0; at < bytes.length; at += size) found.add(bytes.subarray(at, at + size))
  return found.text()
}

test.each([
  1, 2, 3, 5, 64,
])('a text is the same in pieces of %d bytes, whatever it is cut through', (size) => {
  const text = 'plain, café, 3 €, 𝄞 and the end'
  expect(inPieces(Buffer.from(text), size)).toBe(text)
})

test('bytes that are no UTF-8, or half a letter at the end, harm nothing else', () => {
  expect(inPieces(Buffer.from('caf\xe9 au lait', 'latin1'), 1)).toBe('caf\ufffd au lait')
  expect(inPieces(Buffer.from('3 €').subarray(0, -1), 2)).toBe('3 \ufffd')
})

test('nothing printed is empty', () => expect(gathered().text()).toBe(''))
