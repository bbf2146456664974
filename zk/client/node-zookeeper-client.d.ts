/** What we use of the package, which has no types of its own. `package.ts` describes the rest. */
declare module 'node-zookeeper-client' {
  const module: {
    createClient(
      connectionString: string,
      options: import('./package.ts').PackageClientOptions,
    ): import('./package.ts').PackageClient
  }
  export default module
}
declare module 'node-zookeeper-client/lib/jute/index.js' {
  const module: import('./package.ts').Jute
  export default module
}
declare module 'node-zookeeper-client/lib/Exception.js' {
  const module: { create(code: number): { code: number } }
  export default module
}
