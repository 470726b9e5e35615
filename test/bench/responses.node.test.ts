import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createResponseReader, ProtocolError } from "../../bench/responses.ts";

function read(...chunks: readonly string[]): number[] {
	const statuses: number[] = [];
	const reader = createResponseReader((status) => statuses.push(status));
	for (const chunk of chunks) reader(Buffer.from(chunk, "latin1"));
	return statuses;
}

const answer = (status: number, body: string) =>
	`HTTP/1.1 ${status} Text\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

describe("the load generator's reader of responses", () => {
	test("it tells the status of each response, in their order", () => {
		const stream = answer(200, "ok") + answer(503, "no") + answer(201, "");
		expect(read(stream)).toEqual([200, 503, 201]);
	});

	test("it tells the same however the bytes are cut", () => {
		const stream = answer(200, "a\r\n\r\nHTTP/1.1 500 b") + answer(404, "") + answer(200, "c");
		fc.assert(
			fc.property(fc.array(fc.nat({ max: stream.length })), (cuts) => {
				const places = [0, ...cuts.sort((a, b) => a - b), stream.length];
				const chunks = places.slice(1).map((end, index) => stream.slice(places[index], end));
				expect(read(...chunks)).toEqual([200, 404, 200]);
			}),
		);
	});

	test("it tells the code of a refusal, however the bytes are cut, and of nothing else", () => {
		const problem = JSON.stringify({ status: 503, code: "overloaded" });
		const stream =
			answer(503, problem) + answer(200, problem) + answer(404, "no") + answer(401, "");
		for (let cut = 0; cut <= stream.length; cut++) {
			const codes: (string | null)[] = [];
			const reader = createResponseReader((_, code) => codes.push(code));
			for (const chunk of [stream.slice(0, cut), stream.slice(cut)]) reader(Buffer.from(chunk));
			expect(codes).toEqual(["overloaded", null, null, null]);
		}
	});

	test("it tells after which response the server closes, whatever the header's case and company", () => {
		const closing = (header: string, body: string) =>
			answer(200, body).replace("\r\n", `\r\n${header}\r\n`);
		const lasts: boolean[] = [];
		const reader = createResponseReader((_status, _code, isLast) => lasts.push(isLast));
		const stream = [
			answer(200, "Connection: close"),
			closing("Connection: keep-alive", "ok"),
			closing("connection:close", "ok"),
			closing("Connection: Upgrade, Close", ""),
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nok\r\n0\r\n\r\n",
			closing("X-Connection: close", "ok"),
		];
		reader(Buffer.from(stream.join("")));
		expect(lasts).toEqual([false, false, true, true, true, false]);
	});

	test("interim answers are passed over, however they are cut", () => {
		const early = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";
		const stream = `HTTP/1.1 100 Continue\r\n\r\n${early}${answer(200, "ok")}${early}${answer(404, "")}`;
		for (let cut = 0; cut <= stream.length; cut++) {
			expect(read(stream.slice(0, cut), stream.slice(cut))).toEqual([200, 404]);
		}
	});

	test("a chunked body ends with its empty chunk, however it is cut", () => {
		const chunked =
			"HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\na;x=1\r\n01234\r\n789\r\n3\r\nabc\r\n0\r\n\r\n";
		const stream = chunked + answer(200, "ok") + chunked;
		expect(read(chunked.slice(0, -1))).toEqual([]);
		for (let cut = 0; cut <= stream.length; cut++) {
			expect(read(stream.slice(0, cut), stream.slice(cut))).toEqual([201, 200, 201]);
		}
	});

	test("a response counts when its last byte is there, not before", () => {
		const whole = answer(200, "0123456789");
		expect(read(whole.slice(0, -1))).toEqual([]);
		expect(read(whole.slice(0, -1), whole.slice(-1))).toEqual([200]);
	});

	test("a body longer than any head is counted through", () => {
		expect(read(answer(200, "x".repeat(200_000)) + answer(202, ""))).toEqual([200, 202]);
	});

	test("the length is found whatever the case of its name", () => {
		expect(read("HTTP/1.1 200 OK\r\ncontent-length:3\r\n\r\nabcHTTP/1.1 204 No\r\n\r\n")).toEqual([
			200, 204,
		]);
	});

	test.each([
		["something that is not HTTP/1.1", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
		["a body without a length", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"],
		["a chunk without a size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n\r\n"],
		["another protocol", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
		["a status that is no number", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"],
		["a head without an end", `HTTP/1.1 200 OK\r\n${"a".repeat(20_000)}`],
	])("%s is refused", (_, stream) => {
		expect(() => read(stream, "a")).toThrow(ProtocolError);
	});
});
