import { expect, test } from 'vitest'
import { bodyAsWritten, encodeBody } from './outgoing-body.ts'

const send = (text: string, contentType?: string) =>
  encodeBody(
    bodyAsWritten(JSON.parse(text), `{"url":"x","body":${text}}`),
    contentType ? [['content-type', contentType]] : [],
  ).bytes?.toString()

test.each([
  [
    '{"id":12345678901234567890,"amount":450.00,"tiny":1e-9,"n":7}',
    '{"id":12345678901234567890,"amount":450.00,"tiny":1e-9,"n":7}',
  ],
  ['{ "a" : [ 1.0, "1.0" ] }', '{"a":[1.0,"1.0"]}'],
  ['"caf\\u00e9"', '"café"'],
  ['false', 'false'],
  ['0', '0'],
])('%s is sent as compact JSON with its numbers as written', (text, sent) => {
  expect(send(text)).toBe(sent)
})

test('a form repeats the name of a list and keeps large numbers', () => {
  expect(
    send('{"to":["a b","c"],"n":12345678901234567890,"yes":true,"none":null}', 'application/x-www-form-urlencoded'),
  ).toBe('to=a+b&to=c&n=12345678901234567890&yes=true&none=')
})

test('a text is sent as it is under another content type', () => {
  expect(send('"<a/>"', 'application/xml; charset=utf-8')).toBe('<a/>')
})

test.each([
  ['{"a":{"b":1}}', 'application/x-www-form-urlencoded', '"a" in "body"'],
  ['"x"', 'application/x-www-form-urlencoded', '"body" must be an object'],
  ['{"a":1}', 'text/plain', '"body" must be a text'],
])('%s cannot be sent as %s', (text, contentType, message) => {
  expect(() => send(text, contentType)).toThrow(message)
})

test('no body is no body', () => {
  expect(encodeBody(undefined, []).bytes).toBeUndefined()
})
