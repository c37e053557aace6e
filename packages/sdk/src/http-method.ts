/** HTTP methods by name. Any other method string is accepted wherever a method is. */
export const HttpMethod = {
  GET: 'GET',
  POST: 'POST',
  PUT: 'PUT',
  PATCH: 'PATCH',
  DELETE: 'DELETE',
  HEAD: 'HEAD',
  OPTIONS: 'OPTIONS',
} as const

export type HttpMethod = (typeof HttpMethod)[keyof typeof HttpMethod]
