/*
 * Stands in for the schema library in browser bundles (an alias of `typebox` in each app's Vite configuration). The apps need the
 * methods, paths and types of the contract; nothing in a browser validates by its schemas, and the library would be a quarter of the
 * script. Every builder returns an empty schema; reading one is a mistake that the type checker cannot see, so nothing may.
 */
const emptySchema = () => Object.freeze({})

export default new Proxy({}, { get: () => emptySchema })
