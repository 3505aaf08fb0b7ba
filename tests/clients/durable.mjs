// The official TypeScript client of Durable Streams: `write URL COUNT`, or `read URL MODE`, where each line that it
// prints is one item; or `bytes URL MODE`, where it is a piece of the stream.
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"

const [what, url, argument] = process.argv.slice(2)
const backoffOptions = { initialDelay: 50, maxDelay: 500, multiplier: 2, maxRetries: 1000 }

if (what === "write") {
  const handle = await DurableStream.create({ url, contentType: "application/json", backoffOptions })
  const failures = []
  const producer = new IdempotentProducer(handle, "numbers", {
    lingerMs: 1,
    maxBatchBytes: 64,
    onError: (error) => failures.push(error),
  })
  for (let n = 0; n < Number(argument); n++) {
    producer.append(JSON.stringify(n))
    if (n % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await producer.flush()
  await producer.close()
  if (failures.length) throw failures[0]
} else if (what === "bytes") {
  // A connection that breaks in the midst of bytes is an error to the program, which goes on from its offset.
  process.on("unhandledRejection", () => {})
  let offset = "-1"
  for (;;) {
    try {
      const response = await stream({ url, offset, live: argument, backoffOptions })
      response.subscribeBytes(async (piece) => {
        console.log(JSON.stringify(Buffer.from(piece.data).toString("latin1")))
        offset = piece.offset
      })
      await response.closed
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
} else {
  const response = await stream({ url, offset: "-1", live: argument, backoffOptions, json: true })
  response.subscribeJson(async (batch) => {
    for (const item of batch.items) console.log(JSON.stringify(item))
  })
  await response.closed
}
