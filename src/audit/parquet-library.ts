/** What is used of the libraries, and by that all of them that the worker has. */
export { parquetMetadataAsync, parquetReadObjects } from "hyparquet";
export { ByteWriter, ParquetWriter } from "hyparquet-writer";
export { writeMetadata } from "hyparquet-writer/src/metadata.js";
