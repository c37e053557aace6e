import { createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createApprovalLinks } from './approval-link.ts'

const publicUrl = 'https://vault.test'
const linkKey = createSecretKey(Buffer.alloc(32, 1))
const links = createApprovalLinks({ linkKey, publicUrl })
const gate = {
  approvalId: '00000000-0000-4000-8000-000000000001',
  expiresAt: new Date('2026-03-02T12:00:00.123Z'),
  linkNonce: Buffer.alloc(16, 2),
}
const tokenOf = (url: string) => new URL(url).hash.slice('#t='.length)
const token = tokenOf(links.urlOf(gate))

test('the token sits in the fragment, and the same gate always has the same link', () => {
  const url = links.urlOf(gate)
  expect(url).toBe(`${publicUrl}/wallet/approvals/${gate.approvalId}#t=${token}`)
  expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect(links.urlOf({ ...gate })).toBe(url)
  expect(links.isGenuine(gate, token)).toBe(true)
})

test('no other gate, window, nonce or key has this token', () => {
  expect(links.isGenuine({ ...gate, approvalId: '00000000-0000-4000-8000-000000000002' }, token)).toBe(false)
  expect(links.isGenuine({ ...gate, expiresAt: new Date(gate.expiresAt.getTime() + 1) }, token)).toBe(false)
  expect(links.isGenuine({ ...gate, linkNonce: Buffer.alloc(16, 3) }, token)).toBe(false)
  const elsewhere = createApprovalLinks({ linkKey: createSecretKey(randomBytes(32)), publicUrl })
  expect(elsewhere.isGenuine(gate, token)).toBe(false)
})

test('a token has one spelling', () => {
  // 43 characters of base64url carry two bits more than 32 bytes: four last characters decode to the same MAC.
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const genuine = [...alphabet].filter((last) => links.isGenuine(gate, token.slice(0, -1) + last))
  expect(genuine).toEqual([token.at(-1)])
  for (const spelling of [`${token}=`, ` ${token}`, `${token}\n`, Buffer.from(token, 'base64url').toString('base64')]) {
    if (spelling !== token) expect(links.isGenuine(gate, spelling)).toBe(false)
  }
})

test('nothing that anyone makes up is genuine', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.base64String(), fc.stringMatching(/^[A-Za-z0-9_-]{43}$/)), (made) => {
      fc.pre(made !== token)
      expect(links.isGenuine(gate, made)).toBe(false)
    }),
  )
})
