package memo_test

import (
	"strconv"
	"testing"

	"github.com/fhirsync/fhirsync-go/internal/memo"
)

// What is remembered of a text is never given for another, also where many fall into the same place.
func TestMemo(t *testing.T) {
	t.Parallel()
	var m memo.Memo[int]
	if m.Find([]byte("Patient/1")) != nil {
		t.Fatal("knows what it was not told")
	}
	made := map[string]*int{}
	kept := 0
	for i := range 5 * memo.Slots {
		text := "Patient/" + strconv.Itoa(i)
		if i%2 == 0 {
			text = strconv.Itoa(i) // shorter than a word
		}
		made[text] = new(int)
		m.Add(text, made[text])
		if m.Find([]byte(text)) != made[text] {
			t.Fatalf("%s is forgotten at once", text)
		}
	}
	for text, want := range made {
		switch m.Find([]byte(text)) {
		case want:
			kept++
		case nil:
		default:
			t.Fatalf("%s is taken for another", text)
		}
	}
	if kept > memo.Slots || kept < memo.Slots/2 {
		t.Errorf("%d of %d texts in %d slots", kept, len(made), memo.Slots)
	}
	long := string(make([]byte, memo.Longest+1))
	if m.Add(long, new(int)); m.Find([]byte(long)) != nil {
		t.Error("a long text is kept")
	}
}
