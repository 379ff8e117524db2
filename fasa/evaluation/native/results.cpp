#include "results.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "json.h"

namespace fasa {

namespace {

constexpr int64_t LARGEST_SIDE = 2147483647;
constexpr int DEEPEST = 32;  // lists and objects inside each other, in a value that nobody reads

struct Entry {
    int64_t image_id, category_id, size[2];
    double score, box[4];
    size_t counts_end;
};

// One entry after the other.
class Parser : public JsonCursor {
  public:
    Parser(const char *at, const char *end, std::vector<uint8_t> &counts) : JsonCursor(at, end), counts_(counts) {}

    bool entry(Entry &found, bool masks) {
        constexpr unsigned IMAGE = 1, CATEGORY = 2, SCORE = 4, BOX = 8, MASK = 16;
        unsigned seen = 0;
        found.size[0] = found.size[1] = 0;
        for (double &side : found.box) side = std::numeric_limits<double>::quiet_NaN();
        if (!taken('{')) return false;
        do {
            std::string_view key;
            if (!name(key)) return false;
            unsigned field = 0;
            bool read;
            if (key == "image_id")
                field = IMAGE, read = whole(found.image_id);
            else if (key == "category_id")
                field = CATEGORY, read = whole(found.category_id);
            else if (key == "score")
                field = SCORE, read = number(found.score);
            else if (key == "bbox")
                field = BOX, read = box(found.box);
            else if (key == "segmentation")
                field = MASK, read = masks ? mask(found.size) : skipped(0);
            else
                read = skipped(0);
            if (!read || seen & field) return false;
            seen |= field;
        } while (taken(','));
        constexpr unsigned needed = IMAGE | CATEGORY | SCORE;
        return taken('}') && (seen & needed) == needed;
    }

  private:
    bool name(std::string_view &key) {
        if (!taken('"')) return false;
        const char *const begin = at;
        while (at < end_ && *at != '"') {
            if (*at == '\\' || static_cast<signed char>(*at) < 0x20) return false;  // or not ASCII
            ++at;
        }
        if (at == end_) return cut();
        key = {begin, static_cast<size_t>(at - begin)};
        ++at;
        return taken(':');
    }

    bool box(double (&sides)[4]) {
        if (!taken('[')) return false;
        for (int i = 0; i < 4; ++i)
            if ((i && !taken(',')) || !number(sides[i])) return false;
        return taken(']') && sides[2] >= 0 && sides[3] >= 0;
    }

    bool mask(int64_t (&size)[2]) {
        bool sized = false, counted = false;
        if (!taken('{')) return false;
        do {
            std::string_view key;
            if (!name(key)) return false;
            if (key == "size") {
                if (sized || !taken('[') || !whole(size[0]) || !taken(',') || !whole(size[1]) || !taken(']'))
                    return false;
                for (const int64_t side : size)
                    if (side < 1 || side > LARGEST_SIDE) return false;
                sized = true;
            } else if (key == "counts") {
                if (counted || !string()) return false;
                counted = true;
            } else if (!skipped(0)) {
                return false;
            }
        } while (taken(','));
        return taken('}') && sized && counted;
    }

    // A mask's string, its backslashes unescaped, at the end of `counts_`.
    bool string() {
        if (!taken('"')) return false;
        for (;;) {
            const char *const begin = at;
            plain();
            counts_.insert(counts_.end(), begin, at);
            if (at == end_) return cut();
            if (*at == '"') {
                ++at;
                return true;
            }
            if (*at != '\\') return false;
            if (++at == end_) return cut();
            if (*at != '\\') return false;
            counts_.push_back('\\');
            ++at;
        }
    }

    // Go to the next quote, backslash, control character or byte that is not ASCII: eight bytes at a time.
    void plain() {
        constexpr uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
        const auto zero = [](uint64_t word) { return (word - ones) & ~word & highs; };  // of its bytes, one at least
        while (end_ - at >= 8) {
            uint64_t word;
            std::memcpy(&word, at, 8);
            if ((word & highs) | zero(word ^ (ones * '"')) | zero(word ^ (ones * '\\')) |
                ((word - ones * 0x20) & highs))
                break;
            at += 8;
        }
        while (at < end_ && *at != '"' && *at != '\\' && static_cast<signed char>(*at) >= 0x20) ++at;
    }

    // A value that no score depends on.
    bool skipped(int depth) {
        if (!space() || depth > DEEPEST) return false;
        std::string_view text;
        switch (*at) {
            case '"': {
                ++at;
                for (plain(); at < end_ && *at != '"'; plain()) {
                    if (*at != '\\') return false;
                    if (end_ - at < 2) break;
                    if (!at[1] || !std::strchr("\"\\/bfnrt", at[1])) return false;  // the string ends in a 0 of its own
                    at += 2;
                }
                if (at >= end_ || *at != '"') return cut();
                ++at;
                return true;
            }
            case '[':
                ++at;
                if (taken(']')) return true;
                do
                    if (!skipped(depth + 1)) return false;
                while (taken(','));
                return taken(']');
            case '{':
                ++at;
                if (taken('}')) return true;
                do
                    if (!name(text) || !skipped(depth + 1)) return false;
                while (taken(','));
                return taken('}');
            case 't':
                return word("true");
            case 'f':
                return word("false");
            case 'n':
                return word("null");
            default: {
                bool fraction;
                return token(text, fraction);
            }
        }
    }

    bool word(std::string_view wanted) {
        if (static_cast<size_t>(end_ - at) < wanted.size()) return cut();
        if (std::string_view(at, wanted.size()) != wanted) return false;
        at += wanted.size();
        return true;
    }

    std::vector<uint8_t> &counts_;
};

}  // namespace

ResultScanner ResultScanner::emptied() const {
    ResultScanner next(masks_);
    for (auto column :
         {&ResultScanner::image_id, &ResultScanner::category_id, &ResultScanner::mask_size, &ResultScanner::length})
        (next.*column).reserve((this->*column).size());
    for (auto column : {&ResultScanner::score, &ResultScanner::box}) (next.*column).reserve((this->*column).size());
    next.counts.reserve(counts.size());
    return next;
}

ResultScanner::State ResultScanner::scan(const char *&at, const char *end) {
    Parser parser(at, end, counts);
    for (;;) {
        const size_t before = counts.size();
        Entry entry;
        bool read = parser.entry(entry, masks_);
        if (read && !masks_ && std::isnan(entry.box[0])) {
            parser.at = at;
            read = parser.entry(entry, true);
        }
        const bool ends = read && parser.taken(']');
        if (!read || (!ends && !parser.taken(','))) {
            counts.resize(before);
            return parser.short_of_bytes ? MORE : UNUSUAL;
        }
        at = parser.at;
        image_id.push_back(entry.image_id), category_id.push_back(entry.category_id);
        score.push_back(entry.score);
        box.insert(box.end(), entry.box, entry.box + 4);
        mask_size.insert(mask_size.end(), entry.size, entry.size + 2);
        length.push_back(static_cast<int64_t>(counts.size() - before));
        if (ends) return END;
    }
}

}  // namespace fasa
