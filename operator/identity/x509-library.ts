// The library's dependency injection wants the metadata API to exist before it is loaded.
import 'reflect-metadata'

/** The one place that knows how `@peculiar/x509` has to be loaded. */
export * from '@peculiar/x509'
