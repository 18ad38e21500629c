/* json.c: parses a JSON document, and checks by itself that it did so rightly. */
#include "wramp.h"

/* What a device would get: each kind of value, escapes, numbers of every form. */
static const char document[] =
	"{\"device\":\"pump \\\"7\\\"\",\"on\":true,\"fault\":null,\"limits\":[-12.5,1e3,0,2E-2],"
	"\"samples\":[{\"at\":1000,\"bar\":2.25,\"ok\":true},{\"at\":2000,\"bar\":2.5,\"ok\":false},"
	"{\"at\":3000,\"bar\":0.75,\"ok\":true},{\"at\":4000,\"bar\":3.0,\"ok\":true}],"
	"\"names\":[\"\\u00e9t\\u00e9\",\"tab\\tnewline\\n\",\"\"],\"nested\":[[[[{\"deep\":[]}]]]],"
	" \"empty\" : { } }";

/* What the document above holds. */
enum { OBJECTS = 7, ARRAYS = 8, STRINGS = 25, NUMBERS = 12, WORDS = 6, DEPTH = 6 };

/* Deeper documents are refused, because a guest's stack is small. */
enum { MOST_DEEP = 16 };

static struct {
	const char *at;
	const char *end;
	int32_t objects, arrays, strings, numbers, words, depth;
} found;

static int32_t value(int32_t depth);

static void spaces(void)
{
	while (found.at < found.end && (*found.at == ' ' || *found.at == '\t' || *found.at == '\n' ||
					*found.at == '\r')) {
		found.at++;
	}
}

/* Takes that character, if it is next. */
static int32_t take(char wanted)
{
	if (found.at < found.end && *found.at == wanted) {
		found.at++;
		return 1;
	}
	return 0;
}

static int32_t digits(void)
{
	const char *begin = found.at;

	while (found.at < found.end && *found.at >= '0' && *found.at <= '9') {
		found.at++;
	}
	return found.at > begin;
}

static int32_t number(void)
{
	take('-');
	/* No number begins with 0 and another digit. */
	if (!take('0') && !digits()) {
		return 0;
	}
	if (take('.') && !digits()) {
		return 0;
	}
	if (take('e') || take('E')) {
		if (!take('+')) {
			take('-');
		}
		if (!digits()) {
			return 0;
		}
	}
	found.numbers++;
	return 1;
}

static int32_t is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static int32_t escape(void)
{
	static const char known[] = "\"\\/bfnrt";

	if (take('u')) {
		for (int i = 0; i < 4; i++, found.at++) {
			if (found.at >= found.end || !is_hex(*found.at)) {
				return 0;
			}
		}
		return 1;
	}
	for (int i = 0; known[i] != '\0'; i++) {
		if (take(known[i])) {
			return 1;
		}
	}
	return 0;
}

static int32_t string(void)
{
	if (!take('"')) {
		return 0;
	}
	while (found.at < found.end) {
		if (take('"')) {
			found.strings++;
			return 1;
		}
		if (take('\\')) {
			if (!escape()) {
				return 0;
			}
		} else if ((unsigned char)*found.at < ' ') {
			return 0;
		} else {
			found.at++;
		}
	}
	return 0;
}

static int32_t word(const char *wanted)
{
	for (; *wanted != '\0'; wanted++) {
		if (!take(*wanted)) {
			return 0;
		}
	}
	found.words++;
	return 1;
}

/* The members of an object or an array, up to the bracket that ends it. */
static int32_t members(int32_t depth, char end, int32_t named)
{
	spaces();
	if (take(end)) {
		return 1;
	}
	do {
		if (named) {
			spaces();
			if (!string()) {
				return 0;
			}
			spaces();
			if (!take(':')) {
				return 0;
			}
		}
		if (!value(depth)) {
			return 0;
		}
	} while (take(','));
	return take(end);
}

static int32_t value(int32_t depth)
{
	int32_t right;

	if (depth > MOST_DEEP) {
		return 0;
	}
	found.depth = depth > found.depth ? depth : found.depth;
	spaces();
	if (take('{')) {
		found.objects++;
		right = members(depth + 1, '}', 1);
	} else if (take('[')) {
		found.arrays++;
		right = members(depth + 1, ']', 0);
	} else if (found.at < found.end && *found.at == '"') {
		right = string();
	} else if (found.at < found.end && *found.at == 't') {
		right = word("true");
	} else if (found.at < found.end && *found.at == 'f') {
		right = word("false");
	} else if (found.at < found.end && *found.at == 'n') {
		right = word("null");
	} else {
		right = number();
	}
	spaces();
	return right;
}

/* Whether so many bytes of the document are a document. */
static int32_t parse(int32_t length)
{
	found.at = document;
	found.end = document + length;
	found.objects = found.arrays = found.strings = 0;
	found.numbers = found.words = found.depth = 0;
	return value(0) && found.at == found.end;
}

/* 0 where all is right; otherwise what was not: 1 a count, 2 a part that was taken for a whole. */
WRAMP_EXPORT(run) int32_t run(void)
{
	int32_t length = sizeof(document) - 1;

	if (!parse(length) || found.objects != OBJECTS || found.arrays != ARRAYS ||
	    found.strings != STRINGS || found.numbers != NUMBERS || found.words != WORDS ||
	    found.depth != DEPTH) {
		return 1;
	}
	for (int32_t part = 0; part < length; part += 61) {
		if (parse(part)) {
			return 2;
		}
	}
	return 0;
}
